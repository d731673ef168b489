"""Which blocks of tokens see which, as tables: [heads or 1, blocks, blocks], true where the row's block sees the column's.

No block sees a later one. Layouts of variants are unions of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def sliding_window(blocks: int, width: int) -> Tensor:
    """Each block sees itself and the width / 2 (rounded down) before it: the half of a window around it that is not later."""
    place = torch.arange(blocks)
    before = place[:, None] - place
    return ((before >= 0) & (before <= width // 2))[None]


def windows(blocks: int, sizes: Sequence[int]) -> Tensor:
    """Windows side by side, of so many blocks each, the last size again and again: a block sees those of its own window."""
    layout, start = torch.zeros(blocks, blocks, dtype=torch.bool), 0
    remaining = iter(sizes)
    while start < blocks:
        size = next(remaining, sizes[-1])
        layout[start : start + size, start : start + size] = True
        start += size
    return layout.tril()[None]


def seen_by_all(blocks: int, ranges: Iterable[tuple[int, int]]) -> Tensor:
    """All blocks see those of the ranges [start, stop)."""
    layout = torch.zeros(blocks, blocks, dtype=torch.bool)
    for start, stop in ranges:
        layout[:, start:stop] = True
    return layout.tril()[None]


def seeing_all(blocks: int, ranges: Iterable[tuple[int, int]]) -> Tensor:
    """Blocks of the ranges [start, stop) see all."""
    layout = torch.zeros(blocks, blocks, dtype=torch.bool)
    for start, stop in ranges:
        layout[start:stop] = True
    return layout.tril()[None]


def drawn(heads: int, blocks: int, number: int, random: torch.Generator) -> Tensor:
    """Each block sees `number` others or itself, drawn for each head from those that are not later (all of them if they are fewer).

    They are drawn row by row: a layout of more blocks begins with the same ones.
    """
    layout = torch.zeros(heads, blocks, blocks, dtype=torch.bool)
    for row in range(blocks if number else 0):
        order = torch.rand(heads, row + 1, generator=random).argsort(-1)
        layout[:, row].scatter_(1, order[:, :number], True)
    return layout
