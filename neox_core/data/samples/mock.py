"""Samples that are computed, not read: for trying out a run before there is data, and for measuring without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neox_core.data.samples.sample import Sample, Source

STRIDES = 8
"""How many distances between neighbouring tokens there are."""


class MockDataset:
    """Each sample counts on from a random token by a random distance of 1 to 8, modulo the vocabulary.

    What follows is told by the two tokens before, so the loss of a model that learns falls. Sample i depends on `seed`, `name`
    and i alone: it is the same in every process, whatever else is read.

    Args:
        num_samples: `len` of the dataset.
        seq_length: tokens of a sample, without the one that is only a label.
        vocab_size: tokens are less than this.
        seed: tells runs apart.
        name: tells the datasets of a run apart ("train", "valid", "test").
    """

    names = frozenset({"text"})

    def __init__(self, num_samples: int, seq_length: int, vocab_size: int, seed: int, *, name: str = "train") -> None:
        self.num_samples = num_samples
        self.seq_length = seq_length
        self.vocab_size = vocab_size
        self._seed = [seed, *name.encode()]

    @property
    def windows(self) -> int:
        """Samples that can be read."""
        return self.num_samples

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, i: int) -> Sample:
        random = np.random.default_rng([*self._seed, i])
        first, stride = random.integers(self.vocab_size), random.integers(1, STRIDES + 1)
        text = (first + stride * np.arange(self.seq_length + 1, dtype=np.int64)) % self.vocab_size
        return {"text": text}

    def sources(self, i: int) -> Mapping[str, Sequence[Source]]:
        """Nothing: no file has them."""
        return {}
