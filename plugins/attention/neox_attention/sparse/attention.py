"""What all block-sparse attention has in common: a layout of blocks as the pattern of what is seen."""

from __future__ import annotations

import torch
from torch import Tensor

from neox_attention.settings.sparse import SparseSettings, SparsityConfig
from neox_attention.softmax_attention import SoftmaxAttention
from neox_core.config import TrainingSettings
from neox_core.model import LayerContext
from neox_core.parallel import generator


class SparseAttention(SoftmaxAttention):
    """Tokens see those earlier ones whose block their own block sees.

    The layout is made once, for `max_position_embeddings` tokens; those beyond belong to its last block. Blocks are counted by
    position, so that each document begins with block 0, wherever it stands in a row.
    """

    layout: Tensor

    def __init__(self, context: LayerContext) -> None:
        super().__init__(context)
        config = context.resolved[SparseSettings].sparsity
        blocks = -(-context.model.max_position_embeddings // config.block)
        heads = self.share.queries if config.different_layout_per_head else 1
        random = generator(context.resolved[TrainingSettings].seed, "random blocks", context.layer)
        with torch.device("cpu"):  # where the generator is; a model is also made on the meta device
            layout = self.make_layout(config, heads, blocks, random)
        self.register_buffer("layout", layout, persistent=False)
        self.block = config.block
        self.pattern, self.pattern_by_head = self.sees, len(layout) > 1

    @staticmethod
    def make_layout(config: SparsityConfig, heads: int, blocks: int, random: torch.Generator) -> Tensor:
        """Which blocks see which.

        Args:
            config: what the settings say.
            heads: how many may differ.
            blocks: number of blocks.
            random: draws random ones; its seed is made of the run's and the layer.

        Returns:
            [n, blocks, blocks] bool for n <= heads, which heads take in turn. Each block sees itself.
        """
        raise NotImplementedError

    def sees(self, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Elementwise: whether the block of one position sees that of the other."""
        layout = self.layout.to(
            query.device
        )  # elsewhere where a model made on the meta device is run, or got its weights apart
        row, column = ((position // self.block).clamp(max=layout.shape[1] - 1) for position in (query, key))
        return layout[head % len(layout), row, column]

    def share_seen(self, length: int) -> float:
        """By blocks, or by the window, whichever lets less be seen."""
        blocks = min(-(-length // self.block), self.layout.shape[1])
        seen = float(self.layout[:, :blocks, :blocks].float().mean(0).sum()) / (blocks * (blocks + 1) / 2)
        return min(seen, super().share_seen(length))
