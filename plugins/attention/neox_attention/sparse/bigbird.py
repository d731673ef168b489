"""A sliding window, the first blocks, and random ones."""

from __future__ import annotations

import torch
from torch import Tensor

from neox_attention.settings.sparse import SparsityConfig
from neox_attention.sparse.attention import SparseAttention
from neox_attention.sparse.layouts import drawn, seen_by_all, sliding_window


class BigBirdAttention(SparseAttention):
    """Zaheer et al., "Big Bird: Transformers for Longer Sequences", 2020.

    A block sees itself and `num_sliding_window_blocks` / 2 (of 3) before it, the first `num_global_blocks` (1), and
    `num_random_blocks` (1) drawn ones.
    """

    @staticmethod
    def make_layout(config: SparsityConfig, heads: int, blocks: int, random: torch.Generator) -> Tensor:
        """Window, global blocks, random blocks."""
        number = 1 if config.num_random_blocks is None else config.num_random_blocks
        near = sliding_window(blocks, config.num_sliding_window_blocks or 3)
        return near | seen_by_all(blocks, [(0, config.num_global_blocks)]) | drawn(heads, blocks, number, random)
