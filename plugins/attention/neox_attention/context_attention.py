"""Softmax attention over rows whose tokens are cut over context-parallel ranks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neox_attention.scores import Softmax
from neox_attention.softmax_attention import SoftmaxAttention
from neox_attention.token_cache import TokenCache
from neox_attention.visibility import Visibility
from neox_core.errors import UserError
from neox_core.model import LayerContext
from neox_core.parallel import SequenceLayout


@dataclass(frozen=True, slots=True)
class RowPart:
    """This rank's part of a row.

    Args:
        layout: which tokens they are.
        sight: what they would see if they were all there is.
        softmax: what is asked for beside queries, keys and values.
    """

    layout: SequenceLayout
    sight: Visibility
    softmax: Softmax

    @property
    def documents(self) -> Tensor | None:
        """Those of all tokens of the row, [batch, seq]."""
        return None if self.sight.documents is None else self.layout.join(self.sight.documents)

    @property
    def positions(self) -> Tensor:
        """Those of all tokens of the row, [batch or 1, seq]."""
        return self.layout.join(self.sight.positions)


class ContextAttention(SoftmaxAttention):
    """What `global` computes. With one context-parallel rank it is just that; a variant says what several do."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__(context)
        self.axis = context.mesh.context

    def attend(self, query: Tensor, key: Tensor, value: Tensor, sight: Visibility, softmax: Softmax) -> Tensor:
        """[batch, heads, queries, head_dim] -> the same shape."""
        if self.axis.size == 1:
            return super().attend(query, key, value, sight, softmax)
        part = RowPart(SequenceLayout.of_part(self.axis, query.shape[2]), sight, softmax)
        # Not in a graph, which could not hold communication; what comes before and after it is compiled.
        mixed: Tensor = torch.compiler.disable(self.attend_together)(query, key, value, part)  # type: ignore[no-untyped-call]
        return mixed

    def attend_together(self, query: Tensor, key: Tensor, value: Tensor, part: RowPart) -> Tensor:
        """The same with the other ranks: queries, keys and values are of this rank's tokens."""
        raise NotImplementedError

    def new_cache(self, batch: int, length: int) -> TokenCache:
        """An empty cache for `length` tokens of `batch` sequences.

        Raises:
            UserError: the tokens would be cut over ranks.
        """
        if self.axis.size > 1:
            raise UserError(
                f"context_parallel_size: {self.axis.size} cuts samples, and one token after the other cannot be cut: "
                "generate with context_parallel_size: 1"
            )
        return super().new_cache(batch, length)
