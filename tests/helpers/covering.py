"""Some cells of a matrix in which every combination of a few axes is met."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

import numpy as np

Cell = TypeVar("Cell", bound=tuple[Hashable, ...])


def covering(cells: Sequence[Cell], strength: int, seed: int) -> list[Cell]:
    """Cells that together have every combination of `strength` axes that any cell has.

    Greedy: always the cell with most of those that are still to be met, which is close to the fewest (Cohen et al., "The AETG System",
    1997).

    Args:
        cells: all that there are, with as many axes each.
        strength: number of axes that are combined.
        seed: decides between cells that have as many.
    """
    met, count = combinations(cells, strength)
    order = np.random.default_rng(seed).permutation(len(cells))
    missing, taken = np.ones(count, bool), []
    while missing.any():
        best = order[missing[met[order]].sum(1).argmax()]
        missing[met[best]] = False
        taken.append(cells[best])
    return taken


def combinations(cells: Sequence[Cell], strength: int) -> tuple[np.ndarray, int]:
    """A number for each combination that each cell has, [cells, choices of axes], and how many combinations there are."""
    coded = [np.array(list(_codes(axis))) for axis in zip(*cells, strict=True)]
    columns, count = [], 0
    for axes in itertools.combinations(coded, strength):
        mixed = sum(values * 1000**place for place, values in enumerate(axes))
        _, numbers = np.unique(mixed, return_inverse=True)
        columns.append(numbers + count)
        count = int(columns[-1].max()) + 1
    return np.stack(columns, 1), count


def _codes(values: Sequence[Hashable]) -> Iterator[int]:
    known: dict[Hashable, int] = {}
    return (known.setdefault(value, len(known)) for value in values)
