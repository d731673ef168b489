"""Cross entropy of logits that are in memory, in few passes over them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_BYTES = {"cpu": 2**20}
"""Logits that are widened and worked on at a time: on CPUs as many as stay in a core's cache, elsewhere 256 MiB."""


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float, z_loss: float, dtype: torch.dtype) -> Tensor:
    """-log(softmax(logits)[target]) of each token, with what regularises it.

    With s for `label_smoothing`, z for `z_loss` and lse for log(sum(exp(logits))), a token's loss is

        lse - (1 - s) * logits[target] - s * mean(logits) + z * lse^2

    The gradient is computed from the logits as they are, so that nothing else of their size is kept: torch's function keeps their
    logarithmic softmax in float32 as well.

    Args:
        logits: [tokens, vocabulary].
        targets: [tokens] int64.
        label_smoothing: probability that is spread over the vocabulary, as in `torch.nn.CrossEntropyLoss`.
        z_loss: see above (Chowdhery et al., "PaLM", 2022).
        dtype: number format of the calculation.

    Returns:
        [tokens] float32.
    """
    options = _Options(label_smoothing, z_loss, dtype)
    losses: Tensor = _CrossEntropy.apply(logits, targets, options)  # type: ignore[no-untyped-call]
    return losses


class _Options(NamedTuple):
    label_smoothing: float
    z_loss: float
    dtype: torch.dtype


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, options: _Options) -> Tensor:
        smoothing, z_loss, dtype = options
        losses = logits.new_empty(len(logits), dtype=torch.float32)
        normalisers = logits.new_empty(len(logits), dtype=dtype)
        for rows in _blocks(logits, dtype):
            block = logits[rows].to(dtype)
            lse = block.logsumexp(-1)
            loss = lse - (1 - smoothing) * block.gather(-1, targets[rows, None])[:, 0]
            if smoothing:
                loss -= smoothing * block.mean(-1)
            if z_loss:
                loss += (math.sqrt(z_loss) * lse).square()  # float16 ends at 65504, which lse^2 may be beyond
            losses[rows], normalisers[rows] = loss, lse
        ctx.save_for_backward(logits, targets, normalisers)
        ctx.options = options
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        logits, targets, normalisers = ctx.saved_tensors
        smoothing, z_loss, dtype = ctx.options
        result = torch.empty_like(logits)
        for rows in _blocks(logits, dtype):
            gradient, lse = gradients[rows, None].to(dtype), normalisers[rows, None]
            block = (logits[rows].to(dtype) - lse).exp_()
            block *= gradient * (1 + 2 * z_loss * lse)
            block.scatter_add_(-1, targets[rows, None], (smoothing - 1) * gradient)
            if smoothing:
                block -= gradient * (smoothing / logits.shape[-1])
            result[rows] = block
        return result, None, None


def _blocks(logits: Tensor, dtype: torch.dtype) -> Iterator[slice]:
    """Rows to work on at a time."""
    size = max(1, BLOCK_BYTES.get(logits.device.type, 2**28) // (logits.shape[-1] * dtype.itemsize))
    return (slice(start, start + size) for start in range(0, len(logits), size))
