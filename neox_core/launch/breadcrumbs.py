"""What a rank is doing: a word at each turn of its work, by which one that comes no further is told from those that wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

T = TypeVar("T")

LONG = 3
"""The patience with what takes long and cannot say how far it is: a start, saving."""


class Breadcrumb(NamedTuple):
    """One of them.

    Args:
        doing: what is being done: "data", "backward", "saving".
        step: of which step, counted from 1.
        micro_batch: of which micro-batch of the step, counted from 1.
        moves: how many breadcrumbs the rank had left before.
        patience: so many times as long as other work this may take before it looks as if the rank hangs.
    """

    doing: str
    step: int | None = None
    micro_batch: int | None = None
    moves: int = 0
    patience: int = 1

    def __str__(self) -> str:
        step = "" if self.step is None else f" of step {self.step}"
        return f"in {self.doing}{step}{'' if self.micro_batch is None else f', micro-batch {self.micro_batch}'}"


class Breadcrumbs:
    """Where one rank is. Leaving one costs less than a microsecond, and may be done anywhere; another thread may read `last`."""

    def __init__(self) -> None:
        self.patience = LONG
        """That of all work, until the first step is done: kernels are compiled, and indices made."""
        self.last = Breadcrumb("start", patience=LONG)

    def at(self, doing: str, step: int | None = None, micro_batch: int | None = None, *, patience: int = 1) -> None:
        """From now on this is done."""
        self.last = Breadcrumb(doing, step, micro_batch, self.last.moves + 1, max(patience, self.patience))

    def through(self, doing: str, items: Iterable[T], step: int | None = None) -> Iterator[T]:
        """The same items, with a breadcrumb at each: long work that goes on does not look like a rank that hangs."""
        for item in items:
            self.at(doing, step)
            yield item
