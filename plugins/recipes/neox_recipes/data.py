"""Data in NeMo's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from neox_core.errors import Origin
from neox_recipes.part import Meaning, Part, Said, same


@dataclass(frozen=True, kw_only=True)
class DataModule(Part):
    """Samples, and how many make a step.

    Args:
        seq_length: tokens of a sample.
        global_batch_size: samples of an optimizer step, over all ranks.
        micro_batch_size: samples in one forward pass of a rank.
        num_workers: processes that prepare batches, on each rank.
    """

    seq_length: int = 2048
    global_batch_size: int = 512
    micro_batch_size: int = 1
    num_workers: int = 2

    meanings: ClassVar[Mapping[str, Meaning]] = {
        **same("seq_length", "num_workers"),
        "global_batch_size": Meaning(("train_batch_size",)),
        "micro_batch_size": Meaning(("train_micro_batch_size_per_gpu",)),
    }


@dataclass(frozen=True, kw_only=True)
class MockDataModule(DataModule):
    """Samples that are computed from the seed: no files, and the same on every machine."""

    def said(self) -> Iterator[Said]:
        """The fields, and that the samples are computed."""
        yield from super().said()
        yield Said("mock_data", True, Origin(source=type(self).__qualname__))


@dataclass(frozen=True, kw_only=True)
class PreTrainingDataModule(DataModule):
    """Samples from token files.

    Args:
        paths: the files, by prefix.
        weights: weight of each file; None: all alike.
        validation_paths: the files for evaluation.
        tokenizer: the tokenizer's file; None: the model says how large the vocabulary is.
    """

    paths: list[str]
    weights: list[float] | None = None
    validation_paths: list[str] | None = None
    tokenizer: str | None = None

    meanings: ClassVar[Mapping[str, Meaning]] = {
        **DataModule.meanings,
        "paths": Meaning(("train_data_paths",)),
        "weights": Meaning(("train_data_weights",)),
        "validation_paths": Meaning(("valid_data_paths",)),
        "tokenizer": Meaning(("vocab_file",), words="with `tokenizer_type: HFTokenizer`"),
    }

    def said(self) -> Iterator[Said]:
        """The fields, and the kind of the tokenizer."""
        yield from super().said()
        if self.tokenizer is not None:
            yield Said("tokenizer_type", "HFTokenizer", self.origin("tokenizer"))
