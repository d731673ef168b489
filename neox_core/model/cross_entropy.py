"""Cross entropy of logits that are in memory, in few passes over them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neox_core.parallel import Axis, evenly

BLOCK_BYTES = {"cpu": 2**20}
"""Logits that are widened and worked on at a time: on CPUs as many as stay in a core's cache, elsewhere 256 MiB."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which logits a rank has.

    Args:
        size: logits of all ranks.
        first: number of this rank's first one.
        axis: the ranks.
    """

    size: int
    first: int = 0
    axis: Axis = field(default_factory=Axis)

    @classmethod
    def over(cls, axis: Axis, size: int) -> Vocabulary:
        """This rank's, where ranks have an even share each."""
        return cls(size, evenly(size, axis)[0].start, axis)

    def sizes(self) -> list[int]:
        """How many logits each rank has."""
        return [evenly(self.size, Axis(rank, self.axis.size))[0].size for rank in range(self.axis.size)]


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    label_smoothing: float,
    z_loss: float,
    dtype: torch.dtype,
    *,
    vocabulary: Vocabulary | None = None,
) -> Tensor:
    """-log(softmax(logits)[target]) of each token, with what regularises it.

    With s for `label_smoothing`, z for `z_loss` and lse for log(sum(exp(logits))), a token's loss is

        lse - (1 - s) * logits[target] - s * mean(logits) + z * lse^2

    The gradient is computed from the logits as they are, so that nothing else of their size is kept: torch's function keeps their
    logarithmic softmax in float32 as well.

    Args:
        logits: [tokens, this rank's part of the vocabulary].
        targets: [tokens] int64.
        label_smoothing: probability that is spread over the vocabulary, as in `torch.nn.CrossEntropyLoss`.
        z_loss: see above (Chowdhery et al., "PaLM", 2022).
        dtype: number format of the calculation.
        vocabulary: which part that is; None for all of it.

    Returns:
        [tokens] float32, the same on every rank.
    """
    options = _Options(label_smoothing, z_loss, dtype, vocabulary or Vocabulary(logits.shape[-1]))
    losses: Tensor = _CrossEntropy.apply(logits, targets, options)  # type: ignore[no-untyped-call]
    return losses


class _Options(NamedTuple):
    label_smoothing: float
    z_loss: float
    dtype: torch.dtype
    vocabulary: Vocabulary


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, options: _Options) -> Tensor:
        smoothing, z_loss, dtype, vocabulary = options
        # For each token: log(sum(exp)), the target's logit, the mean; of this rank's logits first.
        lse, wanted, means = (logits.new_empty(len(logits), dtype=dtype) for _ in range(3))
        place, absent = _own(targets, vocabulary, logits.shape[-1])
        for rows in _blocks(logits, dtype):
            block = logits[rows].to(dtype)
            lse[rows] = block.logsumexp(-1)
            wanted[rows] = block.gather(-1, place[rows, None])[:, 0]
            if smoothing:
                means[rows] = block.mean(-1) * (block.shape[-1] / vocabulary.size)  # a sum may be beyond float16
        if absent is not None:
            lse, wanted, means = _over_ranks(lse, wanted.masked_fill(absent, 0), means, vocabulary.axis)
        losses = lse - (1 - smoothing) * wanted
        if smoothing:
            losses -= smoothing * means
        if z_loss:
            losses += (math.sqrt(z_loss) * lse).square()  # float16 ends at 65504, which lse^2 may be beyond
        ctx.save_for_backward(logits, targets, lse)
        ctx.options = options
        return losses.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        logits, targets, normalisers = ctx.saved_tensors
        smoothing, z_loss, dtype, vocabulary = ctx.options
        place, absent = _own(targets, vocabulary, logits.shape[-1])
        result = torch.empty_like(logits)
        for rows in _blocks(logits, dtype):
            gradient, lse = gradients[rows, None].to(dtype), normalisers[rows, None]
            block = (logits[rows].to(dtype) - lse).exp_()
            block *= gradient * (1 + 2 * z_loss * lse)
            of_target = (smoothing - 1) * gradient
            if absent is not None:
                of_target = of_target.masked_fill(absent[rows, None], 0)
            block.scatter_add_(-1, place[rows, None], of_target)
            if smoothing:
                block -= gradient * (smoothing / vocabulary.size)
            result[rows] = block
        return result, None, None


def _own(targets: Tensor, vocabulary: Vocabulary, own: int) -> tuple[Tensor, Tensor | None]:
    """Where targets are among this rank's `own` logits, and which are not; None where all are."""
    if vocabulary.size == own:
        return targets, None
    place = targets - vocabulary.first
    absent = (place < 0) | (place >= own)
    return place.masked_fill(absent, 0), absent


def _over_ranks(lse: Tensor, wanted: Tensor, means: Tensor, axis: Axis) -> tuple[Tensor, Tensor, Tensor]:
    """The same numbers of the logits of all ranks, from those of each; two collectives."""
    largest = axis.largest(lse.clone())
    sums, wanted, means = axis.sum(torch.stack(((lse - largest).exp(), wanted, means))).unbind()
    return largest + sums.log(), wanted, means


def _blocks(logits: Tensor, dtype: torch.dtype) -> Iterator[slice]:
    """Rows to work on at a time."""
    size = max(1, BLOCK_BYTES.get(logits.device.type, 2**28) // (logits.shape[-1] * dtype.itemsize))
    return (slice(start, start + size) for start in range(0, len(logits), size))
