"""The training, validation and test datasets of a run: which documents each reads, and how many samples it indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from neox_core.config.split import parse_split
from neox_core.data.blend import Blend, normalised_weights, samples_of_each
from neox_core.data.dataset import Dataset, PackedDataset
from neox_core.data.token_files import open_tokens
from neox_core.errors import UserError

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Datasets:
    """The datasets of a run; None where there is no data for a split."""

    train: Dataset | None = None
    valid: Dataset | None = None
    test: Dataset | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCounts:
    """How many samples a whole run needs of each split."""

    train: int
    valid: int
    test: int

    @classmethod
    def of_run(cls, *, train_iters: int, eval_interval: int, eval_iters: int, batch_size: int) -> SampleCounts:
        """GPT-NeoX's counts: one evaluation every `eval_interval` steps and one at the end, one test at the very end.

        `batch_size` is the samples of one optimizer step over all ranks.
        """
        evaluations = train_iters // eval_interval + 1
        return cls(
            train=train_iters * batch_size, valid=evaluations * eval_iters * batch_size, test=eval_iters * batch_size
        )


@dataclass(frozen=True, slots=True)
class DataPaths:
    """The token files of one split, and their weights (default: all alike)."""

    prefixes: Sequence[str]
    weights: Sequence[float] | None = None


def split_datasets(data_path: str, split: str, *, counts: SampleCounts, seq_length: int, seed: int) -> Datasets:
    """Cut the documents of one token file into training, validation and test by a `split` such as "969, 30, 1"."""
    token_file = open_tokens(data_path)
    boundaries = split_boundaries(split, len(token_file))
    datasets: dict[str, Dataset] = {}
    for name, start, stop in zip(SPLITS, boundaries, boundaries[1:], strict=False):
        if stop > start:
            documents = np.arange(start, stop, dtype=np.int32)
            datasets[name] = PackedDataset(token_file, documents, getattr(counts, name), seq_length, seed, name=name)
    return Datasets(**datasets)


def blended_datasets(paths: Mapping[Split, DataPaths], *, counts: SampleCounts, seq_length: int, seed: int) -> Datasets:
    """Blend whole token files, listed apart for each split."""
    return Datasets(
        **{
            name: _blended(name, paths[name], getattr(counts, name), seq_length, seed)
            for name in SPLITS
            if name in paths and paths[name].prefixes
        }
    )


def _blended(name: Split, paths: DataPaths, num_samples: int, seq_length: int, seed: int) -> Dataset:
    weights = normalised_weights(paths.weights or [1.0] * len(paths.prefixes), len(paths.prefixes))
    datasets = []
    for i, (prefix, share) in enumerate(zip(paths.prefixes, samples_of_each(weights, num_samples), strict=True)):
        token_file = open_tokens(prefix)
        documents = np.arange(len(token_file), dtype=np.int32)
        datasets.append(PackedDataset(token_file, documents, share, seq_length, seed, name=f"{name}_{i}"))
    return datasets[0] if len(datasets) == 1 else Blend(datasets, weights)


def split_boundaries(split: str, num_documents: int) -> tuple[int, int, int, int]:
    """First and last document of training, validation and test, as four boundaries from 0 to `num_documents`.

    `split` is up to three numbers with commas or slashes between them, in any unit. Shares are rounded to whole documents, and
    what that adds or loses is taken from every boundary, as in GPT-NeoX. Raises `UserError` when the numbers make no split.
    """
    try:
        parts = parse_split(split)
    except ValueError as error:
        raise UserError(f"split: {split!r} is no split; {error}") from error
    total = parts[0] + parts[1] + parts[2]  # not `sum`, which rounds differently from Python 3.12 on
    boundaries = [0]
    for part in parts:
        boundaries.append(boundaries[-1] + round(part / total * num_documents))
    surplus = boundaries[-1] - num_documents
    # With few documents the surplus can exceed a boundary, which then is 0: that split is empty.
    train, valid, test = (max(0, boundary - surplus) for boundary in boundaries[1:])
    return 0, train, valid, test
