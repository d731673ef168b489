"""Keys and values that travel around a ring of ranks (Liu, Zaharia and Abbeel, "Ring Attention with Blockwise Transformers", 2023).

Each rank has the queries of its tokens. At every step it mixes what it holds of keys and values, while those that it needs next are
coming from the rank before it. On the way back they travel again, each followed by its gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neox_attention.ring_blocks import Block, Gradients, Mixed, Queries, RowSight
from neox_attention.ring_kernels import mix, unmix
from neox_core.parallel import SequenceLayout


def ring_attention(query: Tensor, key: Tensor, value: Tensor, layout: SequenceLayout, sight: RowSight) -> Tensor:
    """What the queries of this rank mix of the values of all ranks.

    Args:
        query: [batch, heads, tokens of this rank, head_dim].
        key: [batch, kv_heads, tokens of this rank, head_dim].
        value: of the same shape.
        layout: which tokens those are.
        sight: what they see, and with which biases.

    Returns:
        The shape of the queries.
    """
    pair, row = torch.stack((key, value)), (layout, sight)
    mixed: Tensor = _Ring.apply(query, pair, sight.biases, row)  # type: ignore[no-untyped-call]
    return mixed


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, pair: Tensor, biases: Tensor | None, row: tuple[SequenceLayout, RowSight]
    ) -> Tensor:
        layout, sight = row
        mixed = Mixed.of_no_keys(query)
        for held, blocks in _around(pair, layout):
            for rows, others, block in blocks:
                mix(mixed.rows(rows), query[:, :, rows], held[..., others, :], block, sight)
        out = (mixed.out / mixed.sum[..., None]).to(query.dtype)
        ctx.save_for_backward(query, pair, biases, out, mixed.most, mixed.sum)
        ctx.row = row
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        query, pair, biases, out, most, total = ctx.saved_tensors
        layout, sight = ctx.row
        products = (gradient.to(most.dtype) * out).sum(-1)
        queries = Queries(query, out, gradient.contiguous(), most, total, products)
        of_query = torch.zeros_like(query, dtype=most.dtype)
        of_biases = torch.zeros_like(biases) if ctx.needs_input_grad[2] else None
        own, following = None, None
        for held, blocks in _around(pair, layout):
            into = Gradients(of_query, torch.zeros_like(held, dtype=most.dtype), of_biases)
            for rows, others, block in blocks:
                unmix(into.part(rows, others), queries.rows(rows), held[..., others, :], block, sight)
            if own is None:
                own = into.pair
            else:
                so_far = into.pair if following is None else into.pair.add_(following.wait())
                following = layout.axis.start_shift(so_far)
        assert own is not None
        of_pair = own if following is None else own.add_(following.wait())
        return of_query.to(query.dtype), of_pair.to(pair.dtype), of_biases, None


def _around(pair: Tensor, layout: SequenceLayout) -> Iterator[tuple[Tensor, list[tuple[slice, slice, Block]]]]:
    """The keys and values of each rank, this one's first, with their blocks: where queries and keys are, and which they are."""
    axis, coming = layout.axis, None
    for step in range(axis.size):
        pair = pair if coming is None else coming.wait()
        coming = axis.start_shift(pair) if step < axis.size - 1 else None
        yield pair, list(_blocks(layout, (axis.rank - step) % axis.size))


def _blocks(layout: SequenceLayout, rank: int) -> Iterator[tuple[slice, slice, Block]]:
    """Each run of this rank's queries with each run of a rank's keys."""
    for rows, queries in _runs(layout, layout.axis.rank):
        for others, keys in _runs(layout, rank):
            yield rows, others, Block(queries, keys)


def _runs(layout: SequenceLayout, rank: int) -> Iterator[tuple[slice, tuple[int, int]]]:
    start = 0
    for run in layout.runs(rank):
        stop = start + run[1] - run[0]
        yield slice(start, stop), run
        start = stop
