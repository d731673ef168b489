"""Training, validation and test: how documents are cut into them, and how many samples a run needs of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neox_core.config.split import parse_split
from neox_core.data.samples.sample import Dataset
from neox_core.data.samples.sample_index import Demand, Epochs
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
    """How many samples a whole run needs of each split, or how many epochs are indexed."""

    train: Demand
    valid: Demand
    test: Demand

    @classmethod
    def of_run(cls, *, train_iters: int, eval_interval: int, eval_iters: int, batch_size: int) -> SampleCounts:
        """GPT-NeoX's counts: one evaluation every `eval_interval` steps and one at the end, one test at the very end.

        `batch_size` is the samples of one optimizer step over all ranks.
        """
        evaluations = train_iters // eval_interval + 1
        return cls(
            train=train_iters * batch_size, valid=evaluations * eval_iters * batch_size, test=eval_iters * batch_size
        )

    @classmethod
    def of_one_epoch(cls) -> SampleCounts:
        """Every sample once, which a run of several epochs takes again in the same order."""
        return cls(train=Epochs(1), valid=Epochs(1), test=Epochs(1))


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
