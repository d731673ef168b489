"""Ways to compute softmax attention. All give the same up to rounding; they differ in speed and memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from neox_attention.visibility import Visibility
from neox_core.errors import UserError
from neox_core.model import drop_weights

Bias = Callable[[Tensor, Tensor], Tensor]
"""(heads, distances) -> what is added to scaled scores; see `neox_core.model.Positions.bias`."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """What is asked for beside queries, keys and values.

    Args:
        bias: added to scaled scores, where there is one; of heads by their numbers on this rank.
        scale: what products of queries and keys are multiplied by; None: 1 / sqrt(head_dim).
        dropout: of attention weights; 0 outside of training.
        divisor: scores are divided by it before the softmax and multiplied again within (`apply_query_key_layer_scaling`).
        wide: whether `eager` computes the softmax in float32 when the inputs are narrower.
        bias_after: whether the bias is added to the divided scores, so that it is multiplied too (GPT-NeoX does so).
        first_head: number of this tensor-parallel rank's first query head.
        all_heads: query heads of all ranks; 0: this rank has all there are.
    """

    bias: Bias | None = None
    scale: float | None = None
    dropout: float = 0.0
    divisor: int = 1
    wide: bool = False
    bias_after: bool = False
    first_head: int = 0
    all_heads: int = 0

    def with_dropout(self, rate: float) -> Softmax:
        """The same with another rate."""
        return self if rate == self.dropout else replace(self, dropout=rate)

    @property
    def bias_factor(self) -> int:
        """What the bias comes to be multiplied by."""
        return self.divisor if self.bias_after else 1


def dense_bias(softmax: Softmax, sight: Visibility) -> Tensor | None:
    """[heads, queries, keys], or None."""
    if softmax.bias is None:
        return None
    device = sight.positions.device
    heads, far = torch.arange(sight.heads, device=device), torch.arange(sight.keys, device=device)
    by_distance = softmax.bias(heads[:, None], far) * softmax.bias_factor
    return by_distance.index_select(1, sight.distances().flatten()).view(-1, sight.queries, sight.keys)


def eager(query: Tensor, key: Tensor, value: Tensor, sight: Visibility, softmax: Softmax) -> Tensor:
    """Step by step, with all scores in memory, as GPT-NeoX does on a CPU."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(repeats, 1) if repeats > 1 else part for part in (key, value))
    scores = _products(query, key, _factor(query.shape[-1], softmax))
    bias = dense_bias(softmax, sight)
    if bias is not None:
        scores = scores + (bias / softmax.divisor).to(scores.dtype)  # the softmax multiplies by it again
    scores = scores.masked_fill(~sight.mask(), torch.finfo(scores.dtype).min)
    if softmax.wide or softmax.divisor > 1:
        scores = scores.float() * softmax.divisor
    weights = torch.softmax(scores, -1).to(query.dtype)
    return drop_weights(weights, softmax.dropout, softmax.first_head, softmax.all_heads or query.shape[1]) @ value


def _factor(head_dim: int, softmax: Softmax) -> float:
    return 1 / (math.sqrt(head_dim) * softmax.divisor) if softmax.scale is None else softmax.scale / softmax.divisor


def _products(query: Tensor, key: Tensor, factor: float) -> Tensor:
    """factor * query key^T, scaled before it is rounded, so that float16 overflows where the result does and not before."""
    flat = torch.baddbmm(
        query.new_empty(()), query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), beta=0, alpha=factor
    )
    return torch.unflatten(flat, 0, query.shape[:2])


def sdpa(query: Tensor, key: Tensor, value: Tensor, sight: Visibility, softmax: Softmax) -> Tensor:
    """torch's scaled_dot_product_attention: without a mask where causality says it all. The softmax is float32 inside.

    On CPUs its backward pass in bfloat16 takes more than twice the time of that in float32, so training computes in float32 there.
    With dropout it has all scores in memory there too; `eager` then drops the same units at any number of tensor-parallel ranks.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad:
        return sdpa(query.float(), key.float(), value.float(), sight, softmax).to(query.dtype)
    if softmax.dropout:
        if query.device.type == "cpu":
            return eager(query, key, value, sight, softmax)
        draw_apart(softmax)
    mask = None if sight.is_causal else sight.mask()
    bias = dense_bias(softmax, sight)
    if bias is not None:
        seen = sight.mask() if mask is None else mask
        mask = torch.where(seen, bias.to(query.dtype), float("-inf"))
    return functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=softmax.dropout,
        is_causal=mask is None and sight.queries > 1,
        scale=softmax.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def draw_apart(softmax: Softmax) -> None:
    """Have the kernel's random numbers of this rank's heads differ from those of other ranks', which are seeded alike."""
    if softmax.first_head:
        torch.cuda.manual_seed(int(torch.randint(2**62, ())) + softmax.first_head)


def flex(query: Tensor, key: Tensor, value: Tensor, sight: Visibility, softmax: Softmax) -> Tensor:
    """torch's FlexAttention: neither mask nor bias is ever in memory, and blocks that nobody sees are not computed.

    On CPUs it has no backward pass; dropout it has nowhere, which settings are checked for.

    Raises:
        UserError: it would train on a CPU.
    """
    if query.device.type == "cpu" and query.requires_grad:
        raise UserError(
            "attention_implementation: flex has no backward pass on a CPU: set it to auto, sdpa or eager to train there"
        )
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(
        batch: Tensor, head: Tensor, query_index: Tensor, key_index: Tensor
    ) -> Tensor:  # torch counts a method's self
        return sight.sees(batch, head, query_index, key_index)

    batches = None if sight.documents is None and len(sight.positions) == 1 else query.shape[0]
    heads = sight.distinct_heads  # of 1 the mask is broadcast
    blocks = create_block_mask(sees, batches, heads, sight.queries, sight.keys, device=query.device)
    bias = softmax.bias

    def add_bias(score: Tensor, batch: Tensor, head: Tensor, query_index: Tensor, key_index: Tensor) -> Tensor:
        assert bias is not None
        distance = (query_index + sight.before - key_index).clamp(min=0)
        return score + bias(head, distance) * softmax.bias_factor

    compute = _compiled_flex() if query.device.type != "cpu" else _flex()
    mixed: Tensor = compute(
        query,
        key,
        value,
        score_mod=None if bias is None else add_bias,
        block_mask=blocks,
        scale=softmax.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return mixed


def _flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention


@cache
def _compiled_flex() -> Any:
    return torch.compile(_flex(), dynamic=False)


def auto(query: Tensor, key: Tensor, value: Tensor, sight: Visibility, softmax: Softmax) -> Tensor:
    """`flex` on GPUs where a mask would have to be made for sequences without a cached past, else `sdpa`."""
    plain = sight.is_causal and softmax.bias is None
    on_gpu = (
        query.device.type == "cuda" and query.requires_grad
    )  # elsewhere lengths vary, for each of which it is compiled
    return (flex if on_gpu and not plain and softmax.dropout == 0 else sdpa)(query, key, value, sight, softmax)


IMPLEMENTATIONS = {"auto": auto, "sdpa": sdpa, "eager": eager, "flex": flex}
"""By the names of `attention_implementation`."""
