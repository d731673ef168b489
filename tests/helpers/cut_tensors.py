"""Tensors cut over tensor-parallel ranks in random ways, and again into the flat pieces of ZeRO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from neox_core.parallel import Axis, Fragment, Piece, ShardSpec, cut, evenly, local_part, spec_of

NAME = "layers.0.mlp.weight"
DTYPES = (torch.float32, torch.bfloat16)


def runs(places: Iterable[int], size: int) -> list[tuple[int, int]]:
    """The runs between places, from 0 to size."""
    return [*pairwise([0, *sorted({place for place in places if 0 < place < size}), size])]


def spec(shape: Sequence[int], dimension: int, pieces: Sequence[Piece]) -> ShardSpec:
    """What a rank holds that has pieces of one dimension."""
    held = [*shape]
    held[dimension] = sum(piece.size for piece in pieces)
    parameter = nn.Parameter(torch.empty(held, device="meta"))
    return spec_of(NAME, cut(parameter, dimension, shape[dimension], pieces))


def dealt(size: int, edges: Iterable[int], holders: Sequence[set[int]], ranks: int) -> list[list[Piece]]:
    """The pieces of each rank where every run between edges is held by a set of ranks, all of them replicas of it."""
    pieces: list[list[Piece]] = [[] for _ in range(ranks)]
    for (start, stop), holding in zip(runs(edges, size), holders, strict=False):
        for replica, rank in enumerate(sorted(holding)):
            pieces[rank].append(Piece(start, stop, replica, len(holding)))
    return [of_rank or [Piece(0, 0)] for of_rank in pieces]


@st.composite
def cuttings(draw: Any, shape: tuple[int, ...]) -> list[ShardSpec]:
    """The specs of 1 to 4 ranks: whole, evenly, ragged, as gate and up projections, or with some runs on several ranks."""
    ranks = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["whole", "evenly", "halves", "dealt"])) if shape else "whole"
    if kind == "whole":
        return [ShardSpec.complete(NAME, shape, rank, ranks) for rank in range(ranks)]
    dimension = draw(st.integers(0, len(shape) - 1))
    size = shape[dimension]
    if kind == "evenly":
        return [spec(shape, dimension, evenly(size, Axis(rank, ranks))) for rank in range(ranks)]
    if kind == "halves":
        half = size // 2
        parts = [
            (evenly(half, Axis(rank, ranks))[0], evenly(size - half, Axis(rank, ranks))[0]) for rank in range(ranks)
        ]
        return [spec(shape, dimension, [a, Piece(b.start + half, b.stop + half)]) for a, b in parts]
    edges = draw(st.lists(st.integers(1, size), max_size=4))
    holders = draw(st.lists(st.sets(st.integers(0, ranks - 1), min_size=1), min_size=5, max_size=5))
    return [spec(shape, dimension, draw(st.permutations(pieces))) for pieces in dealt(size, edges, holders, ranks)]


shapes = st.lists(st.integers(1, 7), max_size=3).map(tuple)


def values(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Another bit pattern for each element."""
    bits = {torch.float32: torch.int32, torch.bfloat16: torch.int16}[dtype]
    return torch.arange(torch.Size(shape).numel(), dtype=bits).view(dtype).view(shape)


def same_bits(one: Tensor, other: Tensor) -> bool:
    return one.dtype is other.dtype and torch.equal(one.view(torch.uint8), other.view(torch.uint8))


def flat_pieces(whole: Tensor, spec: ShardSpec, places: Iterable[int], role: str = "weight") -> list[Fragment]:
    """What a rank holds of a global tensor, cut anywhere."""
    flat = local_part(whole, spec).flatten()
    return [Fragment(spec, role, run, flat[slice(*run)]) for run in runs(places, spec.local_size) if run[0] < run[1]]


def assembled(fragments: Iterable[Fragment], shape: tuple[int, ...]) -> Tensor:
    """Which elements of the global tensor fragments hold, found by putting all of them together."""
    held = torch.zeros(shape, dtype=torch.bool)
    for fragment in fragments:
        local = torch.zeros(fragment.spec.local_size, dtype=torch.bool)
        local[slice(*fragment.range)] = True
        local = local.view(fragment.spec.local_shape)
        for block in fragment.spec.blocks:
            whole, here = (tuple(slice(*run) for run in box) for box in (block.whole, block.local))
            held[whole] |= local[here]
    return held
