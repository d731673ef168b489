"""Where activations that all tensor-parallel ranks have alike become those of one rank, and back: collectives with their gradients.

The backward pass of each is the forward pass of another. Shapes are [batch, seq, ...]; with sequence parallelism each rank has a run
of the tokens between the parallel layers (Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models", 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neox_core.parallel.axis import Axis

SEQUENCE = 1
"""The dimension of tokens."""


@dataclass(frozen=True, slots=True)
class TensorParallel:
    """How the ranks of a tensor-parallel group share the work on a layer.

    Args:
        axis: the ranks.
        sequence: whether activations between parallel layers are cut by tokens.
        wide: whether activations are added in float32 at least.
    """

    axis: Axis = field(default_factory=Axis)
    sequence: bool = False
    wide: bool = False

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.axis.size

    @property
    def is_on(self) -> bool:
        """Whether anything is cut."""
        return self.axis.size > 1

    @property
    def cuts_tokens(self) -> bool:
        """Whether a rank has only some of the tokens between parallel layers."""
        return self.sequence and self.is_on

    def enter(self, x: Tensor) -> Tensor:
        """Into what each rank computes a part of: all tokens. The gradients of all ranks are summed."""
        if not self.is_on:
            return x
        function = _Gathered if self.sequence else _Copied
        return function.apply(x, self)  # type: ignore[no-untyped-call,no-any-return]

    def leave(self, x: Tensor) -> Tensor:
        """Out of it: the sum of what the ranks computed, of its own tokens where they are cut."""
        if not self.is_on:
            return x
        function = _ScatterSum if self.sequence else _Sum
        return function.apply(x, self)  # type: ignore[no-untyped-call,no-any-return]

    def sum(self, x: Tensor) -> Tensor:
        """The sum of what the ranks computed, of all tokens. What follows is computed alike on all ranks."""
        return _Sum.apply(x, self) if self.is_on else x  # type: ignore[no-untyped-call]

    def copy(self, x: Tensor) -> Tensor:
        """What all ranks have alike, for each to compute a part with: its gradient is the sum of theirs."""
        return _Copied.apply(x, self) if self.is_on else x  # type: ignore[no-untyped-call]

    def join(self, x: Tensor, dim: int, sizes: Sequence[int] | None = None) -> Tensor:
        """The parts of all ranks along a dimension. What follows is computed alike on all ranks.

        Args:
            x: this rank's part.
            dim: the dimension.
            sizes: of all parts in it; None where they are alike.
        """
        sizes = sizes or [x.shape[dim]] * self.size
        return _Joined.apply(x, self, dim, sizes) if self.is_on else x  # type: ignore[no-untyped-call]

    def own_tokens(self, x: Tensor) -> Tensor:
        """Of what all ranks have alike, this rank's tokens; itself where they are not cut."""
        return _OwnTokens.apply(x, self) if self.cuts_tokens else x  # type: ignore[no-untyped-call]

    def all_tokens(self, x: Tensor) -> Tensor:
        """The tokens of all ranks. What follows is computed alike on all ranks."""
        return self.join(x, SEQUENCE) if self.cuts_tokens else x


class _Copied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, parallel: TensorParallel) -> Tensor:
        ctx.parallel = parallel
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _own_sum(gradient, ctx.parallel), None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, parallel: TensorParallel) -> Tensor:
        return _own_sum(x, parallel)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def _own_sum(x: Tensor, parallel: TensorParallel) -> Tensor:
    """A sum in memory of its own: what is summed may be used by others."""
    return parallel.axis.sum(x.clone(memory_format=torch.contiguous_format), wide=parallel.wide)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, parallel: TensorParallel) -> Tensor:
        ctx.parallel = parallel
        return parallel.axis.gather(x, SEQUENCE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.parallel.axis.scatter_sum(gradient, SEQUENCE, wide=ctx.parallel.wide), None


class _ScatterSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, parallel: TensorParallel) -> Tensor:
        ctx.parallel = parallel
        return parallel.axis.scatter_sum(x, SEQUENCE, wide=parallel.wide)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.parallel.axis.gather(gradient, SEQUENCE), None


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, parallel: TensorParallel, dim: int, sizes: Sequence[int]) -> Tensor:
        ctx.rank, ctx.dim, ctx.sizes = parallel.axis.rank, dim, sizes
        return parallel.axis.gather_uneven(x, dim, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        own = gradient.narrow(ctx.dim, sum(ctx.sizes[: ctx.rank]), ctx.sizes[ctx.rank])
        return own.contiguous(), None, None, None


class _OwnTokens(_ScatterSum):
    """Of what is alike on all ranks no sum is taken; its gradient is joined in the same way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, parallel: TensorParallel) -> Tensor:
        ctx.parallel = parallel
        return parallel.axis.piece(x, SEQUENCE)
