"""What a block adds, by torch's kernels of flash attention where causality alone says what is seen, else tile by tile.

The kernels are those of `scaled_dot_product_attention`. They are called by their own names, since it does not give the logarithms of
the sums of exponentials (lse) that join blocks, and its gradient is that of a softmax over one block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from neox_attention.ring_blocks import Block, Gradients, Mixed, Queries, RowSight, mix_tiles, unmix_tiles

aten = torch.ops.aten


Tensors = tuple[Tensor, ...]


class Kernel(NamedTuple):
    """Attention of queries to keys, and its gradients where those are only some of the keys.

    Args:
        forward: (query, key, value), whether it is causal, scale -> what is mixed, and lse.
        backward: (gradient, query, key, value, out, lse), whether it is causal, scale -> gradients of query, key and value; out and
            lse are over all keys.
        dtype: what it is given.
    """

    forward: Callable[[Tensors, bool, float], Tensors]
    backward: Callable[[Tensors, bool, float], Tensors]
    dtype: torch.dtype


def mix(mixed: Mixed, query: Tensor, pair: Tensor, block: Block, sight: RowSight) -> None:
    """Add what the queries of a block mix of its keys and values; see `mix_tiles`."""
    if sight.sees_nothing(block):
        return
    kernel = choose(query, block, sight)
    if kernel is None:
        mix_tiles(mixed, query, pair, block, sight)
        return
    given = tuple(part.to(kernel.dtype) for part in (query, *pair))
    out, lse = kernel.forward(given, block.is_diagonal, sight.scale)
    mixed.add(Mixed(out.to(mixed.out.dtype), lse, torch.ones_like(lse)))


def unmix(into: Gradients, queries: Queries, pair: Tensor, block: Block, sight: RowSight) -> None:
    """Add the gradients that come of a block; see `unmix_tiles`."""
    if sight.sees_nothing(block):
        return
    kernel = choose(queries.query, block, sight)
    if kernel is None:
        unmix_tiles(into, queries, pair, block, sight)
        return
    parts = (queries.gradient, queries.query, *pair, queries.out)
    given = (*(part.to(kernel.dtype) for part in parts), queries.most + queries.sum.log())
    grown = kernel.backward(given, block.is_diagonal, sight.scale)
    for total, part in zip((into.query, *into.pair), grown, strict=True):
        total.add_(part)


def choose(query: Tensor, block: Block, sight: RowSight) -> Kernel | None:
    """The kernel that can compute a block, where there is one."""
    plain = sight.biases is None and sight.sees_all_before(block) and not sight.in_tiles
    if not plain or not (block.is_diagonal or block.nearest >= 0):
        return None
    width, narrow = query.shape[-1], query.dtype in (torch.float16, torch.bfloat16)
    if query.device.type == "cpu":
        # As for whole rows: its backward pass in bfloat16 takes more than twice the time of that in float32.
        return Kernel(_forward_on_cpus, _backward_on_cpus, torch.promote_types(query.dtype, torch.float32))
    if query.device.type == "cuda" and narrow and width % 8 == 0 and width <= 256:
        return Kernel(_forward_on_gpus, _backward_on_gpus, query.dtype)
    return None


def _forward_on_cpus(given: Tensors, causal: bool, scale: float) -> Tensors:
    mixed: Tensors = aten._scaled_dot_product_flash_attention_for_cpu(*given, 0.0, causal, scale=scale)
    return mixed


def _backward_on_cpus(given: Tensors, causal: bool, scale: float) -> Tensors:
    grown: Tensors = aten._scaled_dot_product_flash_attention_for_cpu_backward(*given, 0.0, causal, scale=scale)
    return grown


def _forward_on_gpus(given: Tensors, causal: bool, scale: float) -> Tensors:
    out, lse, *_ = aten._scaled_dot_product_flash_attention(*given, 0.0, causal, False, scale=scale)
    return out, lse


def _backward_on_gpus(given: Tensors, causal: bool, scale: float) -> Tensors:
    _, query, key, *_ = given
    ragged = (None, None, query.shape[2], key.shape[2])  # no sequences of different lengths
    random = torch.zeros(2, dtype=torch.uint64, device=query.device)  # of dropout, of which there is none
    grown: Tensors = aten._scaled_dot_product_flash_attention_backward(
        *given, *ragged, 0.0, causal, random, random[0], scale=scale
    )
    return grown
