"""Linear layers that are cut over tensor-parallel ranks (Shoeybi et al., "Megatron-LM", 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from neox_core.parallel.axis import Pending
from neox_core.parallel.cuts import Piece, cut, evenly, with_partial_gradient
from neox_core.parallel.regions import SEQUENCE, TensorParallel


class ColumnLinear(nn.Linear):
    """A linear layer of which each rank computes some of the outputs, of all tokens.

    Args:
        inputs: width of what it is given.
        outputs: width of what the ranks compute together.
        bias: whether there is one; it is cut too.
        parallel: the ranks.
        pieces: which outputs are this rank's; None: an even share.
        inside: whether what it is given has entered the ranks' part of the work already, see `TensorParallel.enter`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool,
        parallel: TensorParallel,
        pieces: Sequence[Piece] | None = None,
        inside: bool = False,
    ) -> None:
        pieces = evenly(outputs, parallel.axis) if pieces is None else pieces
        super().__init__(inputs, sum(piece.size for piece in pieces), bias=bias)
        self.parallel, self.inside = parallel, inside
        for parameter in self.parameters():
            cut(parameter, 0, outputs, pieces)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, this rank's or all tokens, inputs] -> [batch, seq, this rank's outputs]; inside, all tokens."""
        return functional.linear(x, self.weight, self.bias) if self.inside else columns(x, self)[0]


class RowLinear(nn.Linear):
    """A linear layer of which each rank has some of the inputs; what it gives is their sum, of this rank's tokens where they are cut.

    The bias is added once, to the sum.

    Args:
        inputs: width of what the ranks have together.
        outputs: width of what it gives.
        bias: whether there is one; every rank has all of it.
        parallel: the ranks.
        pieces: which inputs are this rank's; None: an even share.
        inside: whether each rank goes on with what it gives in its own way, on all tokens, before anything leaves.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool,
        parallel: TensorParallel,
        pieces: Sequence[Piece] | None = None,
        inside: bool = False,
    ) -> None:
        pieces = evenly(inputs, parallel.axis) if pieces is None else pieces
        super().__init__(sum(piece.size for piece in pieces), outputs, bias=bias)
        self.parallel, self.inside, self.is_deferred = parallel, inside, False
        cut(cast("nn.Parameter", self.weight), 1, inputs, pieces)
        if bias and (parallel.cuts_tokens or inside):
            with_partial_gradient(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, seq, this rank's inputs] -> [batch, this rank's or all tokens, outputs]; inside or deferred, all tokens."""
        own = self.partly(x)
        if self.is_deferred:
            return own if self.bias is None else own + self.bias * float(self.parallel.axis.is_first)
        summed = self.parallel.copy(self.parallel.sum(own)) if self.inside else self.parallel.leave(own)
        return self.with_bias(summed)

    def defer(self) -> None:
        """Leave the sum to somebody else, who adds up several layers first: from now on it gives what this rank adds.

        The bias is the first rank's to add.
        """
        self.is_deferred = True
        if self.bias is not None:
            with_partial_gradient(self.bias)

    def partly(self, x: Tensor) -> Tensor:
        """What this rank adds to the sum."""
        return functional.linear(x, self.weight)

    def with_bias(self, summed: Tensor) -> Tensor:
        """The sum of all ranks, with the bias."""
        return summed if self.bias is None else summed + self.bias


def columns(x: Tensor, *layers: nn.Linear) -> list[Tensor]:
    """What several layers make of the same input; together they communicate once where they are cut.

    Args:
        x: [batch, seq, inputs].
        layers: all of them `ColumnLinear` of the same ranks, or all not cut, or all of them inside.
    """
    first = layers[0]
    if not isinstance(first, ColumnLinear) or not first.parallel.is_on or first.inside:
        return [functional.linear(x, layer.weight, layer.bias) for layer in layers]
    parameters = (*(layer.weight for layer in layers), *(layer.bias for layer in layers))
    return list(_Columns.apply(x, first.parallel, *parameters))  # type: ignore[no-untyped-call]


class _Columns(torch.autograd.Function):
    """x W^T + b for several W and, after all of them, as many b, which may be None.

    In the backward pass the sum of the input's gradients over the ranks is under way while the weights' gradients are computed. With
    tokens that are cut they are gathered a second time for that instead of being kept, while the input's gradient is computed.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, parallel: TensorParallel, *parameters: Tensor) -> tuple[Tensor, ...]:
        weights, biases = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
        ctx.parallel = parallel
        ctx.save_for_backward(x, *weights)
        whole = parallel.axis.gather(x, SEQUENCE) if parallel.sequence else x
        return tuple(functional.linear(whole, *layer) for layer in zip(weights, biases, strict=True))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        parallel: TensorParallel = ctx.parallel
        needs_x, _, *needed = ctx.needs_input_grad
        tokens = parallel.axis.start_gather(x, SEQUENCE) if parallel.sequence else Pending(x, x.dtype)
        summed = _start_sum(gradients, weights, parallel) if needs_x else None
        whole = tokens.wait().flatten(0, -2)
        rows = [gradient.flatten(0, -2) for gradient in gradients]
        of_weights = [own.t() @ whole if needs else None for own, needs in zip(rows, needed, strict=False)]
        of_biases = [own.sum(0) if needs else None for own, needs in zip(rows, needed[len(rows) :], strict=True)]
        return (None if summed is None else summed.wait()), None, *of_weights, *of_biases


def _start_sum(gradients: Sequence[Tensor], weights: Sequence[Tensor], parallel: TensorParallel) -> Pending:
    """Begin to sum the gradient of the input over the ranks."""
    own = gradients[0] @ weights[0]
    for gradient, weight in zip(gradients[1:], weights[1:], strict=True):
        own = own + gradient @ weight
    if parallel.sequence:
        return parallel.axis.start_scatter_sum(own, SEQUENCE, wide=parallel.wide)
    return parallel.axis.start_sum(own, wide=parallel.wide)
