"""Attention to what is near, by blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from neox_attention.settings.sparse import SparsityConfig
from neox_attention.sparse.attention import SparseAttention
from neox_attention.sparse.layouts import sliding_window


class LocalAttention(SparseAttention):
    """Each block sees itself and `num_local_blocks` / 2 before it, 4 unless given (Beltagy et al., "Longformer", 2020).

    The number is that of a window around the block, of which only the earlier half can be seen. `num_sliding_window_blocks` is
    another name for it.
    """

    @staticmethod
    def make_layout(config: SparsityConfig, heads: int, blocks: int, random: torch.Generator) -> Tensor:
        """A sliding window."""
        return sliding_window(blocks, config.num_local_blocks or config.num_sliding_window_blocks or 4)
