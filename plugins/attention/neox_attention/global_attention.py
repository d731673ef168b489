"""Full causal attention."""

from __future__ import annotations

from neox_attention.softmax_attention import SoftmaxAttention
from neox_core.config import ParallelismSettings
from neox_core.model import LayerContext


class GlobalAttention(SoftmaxAttention):
    """Each token sees all earlier ones of its document, or of the window."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__(context)
        resolved = context.resolved
        if resolved.reproduces("window-lost") and resolved[ParallelismSettings].pipe_parallel_size == 0:
            self.window = None
