"""What a rank is doing: a word at each turn of its work, by which one that comes no further is told from those that wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
        after: where it belongs to no step, the last one that the rank was at.
        waits: for whom, without whom the rank comes no further: "stage 3".
    """

    doing: str
    step: int | None = None
    micro_batch: int | None = None
    moves: int = 0
    patience: int = 1
    after: int | None = None
    waits: str | None = None

    @property
    def reached(self) -> int:
        """The step that the rank has come to; 0 before the first."""
        return self.step or self.after or 0

    def __str__(self) -> str:
        step = "" if self.step is None else f" of step {self.step}"
        after = "" if self.after is None else f" after step {self.after}"
        micro_batch = "" if self.micro_batch is None else f", micro-batch {self.micro_batch}"
        waits = "" if self.waits is None else f", waiting for {self.waits}"
        return f"in {self.doing}{step}{after}{micro_batch}{waits}"


class Breadcrumbs:
    """Where one rank is. Leaving one costs less than a microsecond, and may be done anywhere; another thread may read `last`."""

    def __init__(self) -> None:
        self.patience = LONG
        """That of all work, until the first step is done: kernels are compiled, and indices made."""
        self.last = Breadcrumb("start", patience=LONG)

    def at(self, doing: str, step: int | None = None, micro_batch: int | None = None, *, patience: int = 1) -> None:
        """From now on this is done."""
        after = self.last.reached or None if step is None else None
        self.last = Breadcrumb(doing, step, micro_batch, self.last.moves + 1, max(patience, self.patience), after)

    @contextmanager
    def waiting_for(self, other: str) -> Iterator[None]:
        """Within this another rank may hold this one up. It is no move, since ranks do not wait equally often."""
        self.last = self.last._replace(waits=other)
        yield
        self.last = self.last._replace(waits=None)

    def through(self, doing: str, items: Iterable[T], step: int | None = None) -> Iterator[T]:
        """The same items, with a breadcrumb at each: long work that goes on does not look like a rank that hangs."""
        for item in items:
            self.at(doing, step)
            yield item
