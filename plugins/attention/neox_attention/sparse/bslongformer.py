"""A sliding window, and chosen blocks that see all and are seen by all."""

from __future__ import annotations

import torch
from torch import Tensor

from neox_attention.settings.sparse import SparsityConfig
from neox_attention.sparse.attention import SparseAttention
from neox_attention.sparse.layouts import seeing_all, seen_by_all, sliding_window


class BSLongformerAttention(SparseAttention):
    """Beltagy et al., "Longformer: The Long-Document Transformer", 2020, by blocks.

    A block sees itself and `num_sliding_window_blocks` / 2 (of 3) before it, and the blocks `global_block_indices` ([0]), or
    ranges of them with `global_block_end_indices`; those see all before them.
    """

    @staticmethod
    def make_layout(config: SparsityConfig, heads: int, blocks: int, random: torch.Generator) -> Tensor:
        """Window and global blocks."""
        chosen = config.global_ranges
        near = sliding_window(blocks, config.num_sliding_window_blocks or 3)
        return near | seen_by_all(blocks, chosen) | seeing_all(blocks, chosen)
