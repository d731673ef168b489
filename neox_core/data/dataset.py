"""Datasets of fixed-length samples cut from token files."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from neox_core.data.sample_index import build_sample_index
from neox_core.data.token_files import TokenFile

Sample = npt.NDArray[np.int64]
"""Token ids, int64 [seq_length + 1]: the inputs are all but the last, the labels all but the first."""


class Dataset(Protocol):
    """Samples in the order in which training consumes them."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Sample: ...


class PackedDataset:
    """Documents laid end to end in a shuffled order and cut into windows, as in GPT-NeoX's `pack_impl: packed`.

    `name` ("train", "valid_0", ...) says which dataset of a run it is. `len` is one less than the `windows` there are:
    GPT-NeoX leaves out the last, though a blend can ask for it. (Where there is but one, it is served.)
    """

    def __init__(
        self,
        token_file: TokenFile,
        documents: npt.NDArray[np.int32],
        num_samples: int,
        seq_length: int,
        seed: int,
        *,
        name: str = "train",
    ) -> None:
        self.token_file = token_file
        self.name = name
        self.seq_length = seq_length
        self.index = build_sample_index(
            token_file.sizes, documents, num_samples=num_samples, seq_length=seq_length, seed=seed
        )

    @property
    def windows(self) -> int:
        """Samples that can be read."""
        return len(self.index.shuffle_idx)

    def __len__(self) -> int:
        return self.windows - 1 if self.windows > 1 else self.windows

    def __getitem__(self, i: int) -> Sample:
        window = self.index.shuffle_idx[i]
        first, offset = self.index.sample_idx[window].tolist()
        last, end = self.index.sample_idx[window + 1].tolist()
        documents = self.index.doc_idx[first : last + 1].tolist()
        if first == last:
            parts = [self.token_file.get(documents[0], offset, end - offset + 1)]
        else:
            head = self.token_file.get(documents[0], offset)
            tail = self.token_file.get(documents[-1], length=end + 1)
            parts = [head, *(self.token_file[document] for document in documents[1:-1]), tail]
        return np.concatenate(parts, dtype=np.int64)
