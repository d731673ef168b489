"""The small attention of aMLP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from neox_attention.scores import IMPLEMENTATIONS, Softmax
from neox_attention.settings.softmax import SoftmaxSettings
from neox_attention.visibility import Visibility
from neox_core.model import LayerContext
from neox_core.parallel import Piece


class TinyAttention(nn.Module):
    """Causal attention of one head, [batch, seq, inputs] -> [batch, seq, outputs].

    Each tensor-parallel rank has some of the inputs and an even share of the outputs; what is between them all compute alike.

    Args:
        context: of the layer.
        inputs: of all ranks.
        dim: width of the head.
        outputs: of all ranks.
        dropout: of attention weights.
        pieces: which inputs are this rank's.
    """

    def __init__(
        self, context: LayerContext, inputs: int, dim: int, outputs: int, *, dropout: float, pieces: Sequence[Piece]
    ) -> None:
        super().__init__()
        linear = partial(context.linear, bias=True, role="input", inside=True)
        self.query_key_value = linear(inputs, 3 * dim, cut="rows", pieces=pieces)
        self.query_key_value.weight.row_parts = [dim, dim, dim]  # type: ignore[attr-defined]
        self.output = linear(dim, outputs, cut="columns")
        self.compute = IMPLEMENTATIONS[context.resolved[SoftmaxSettings].attention_implementation]
        scale = context.attention_scale(dim, base_head_size=dim)
        self.softmax = Softmax(wide=context.model.attention_softmax_in_fp32, scale=scale)
        self.dropout = dropout

    def forward(self, rows: Tensor, sight: Visibility) -> Tensor:
        """`query_key_value` of all tokens so far, [batch, keys, 3 dim] -> [batch, queries, outputs]."""
        query, key, value = rows[:, None].chunk(3, -1)
        softmax = self.softmax.with_dropout(self.dropout if self.training else 0.0)
        mixed: Tensor = self.output(self.compute(query[:, :, sight.before :], key, value, sight, softmax)[:, 0])
        return mixed
