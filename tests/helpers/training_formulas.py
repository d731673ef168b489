"""A block written out from its weights, in float64, one head and one position after the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def layer_norm(x: Tensor, weights: Weights, name: str, eps: float = 1e-5) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def mlp(x: Tensor, weights: Weights, name: str = "mlp") -> Tensor:
    inner = linear(x, weights, f"{name}.up")
    return linear(inner * (1 + torch.erf(inner / math.sqrt(2))) / 2, weights, f"{name}.down")


def rotate(x: Tensor, position: int, base: float = 10000.0) -> Tensor:
    """One head at one position: pairs (i, i + half) turned by position / base^(2i / size)."""
    half = len(x) // 2
    out = x.clone()
    for i in range(half):
        angle = position / base ** (2 * i / len(x))
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i + half] * math.cos(angle) + x[i] * math.sin(angle)
    return out


def attention(x: Tensor, weights: Weights, heads: int, kv_heads: int | None = None, *, rotary: bool = True) -> Tensor:
    """[seq, hidden] of one document -> the same shape."""
    kv_heads = kv_heads or heads
    seq, hidden = x.shape
    size, shared = hidden // heads, heads // kv_heads
    rows = linear(x, weights, "attention.query_key_value").view(seq, kv_heads, shared + 2, size)
    turn = rotate if rotary else lambda vector, position: vector
    mixed = torch.zeros(seq, heads, size, dtype=x.dtype)
    for head in range(heads):
        group, member = divmod(head, shared)
        for t in range(seq):
            query = turn(rows[t, group, member], t)
            scores = torch.stack([query @ turn(rows[s, group, -2], s) for s in range(t + 1)]) / math.sqrt(size)
            mixed[t, head] = torch.softmax(scores, 0) @ rows[: t + 1, group, -1]
    return linear(mixed.flatten(1), weights, "attention.output")
