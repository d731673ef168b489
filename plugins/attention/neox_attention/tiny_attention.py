"""The small attention of aMLP."""

from __future__ import annotations

from torch import Tensor, nn

from neox_attention.scores import IMPLEMENTATIONS, Softmax
from neox_attention.settings.softmax import SoftmaxSettings
from neox_attention.visibility import Visibility
from neox_core.model import LayerContext


class TinyAttention(nn.Module):
    """Causal attention of one head, [batch, seq, inputs] -> [batch, seq, outputs]."""

    def __init__(self, context: LayerContext, inputs: int, dim: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.query_key_value = context.linear(inputs, 3 * dim, bias=True, role="input")
        self.query_key_value.weight.row_parts = [dim, dim, dim]  # type: ignore[attr-defined]
        self.output = context.linear(dim, outputs, bias=True, role="input")
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
