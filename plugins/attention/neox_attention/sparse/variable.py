"""Windows of any sizes, chosen blocks that all see, and random ones."""

from __future__ import annotations

import torch
from torch import Tensor

from neox_attention.settings.sparse import SparsityConfig
from neox_attention.sparse.attention import SparseAttention
from neox_attention.sparse.layouts import drawn, seen_by_all, windows


class VariableAttention(SparseAttention):
    """The windows of Child et al., "Generating Long Sequences with Sparse Transformers", 2019, with sizes of their own.

    A block sees its own window (`local_window_blocks`, [4]), the blocks `global_block_indices` ([0]), or ranges of them with
    `global_block_end_indices`, and `num_random_blocks` (0) drawn ones.
    """

    @staticmethod
    def make_layout(config: SparsityConfig, heads: int, blocks: int, random: torch.Generator) -> Tensor:
        """Windows, global blocks, random blocks."""
        near, everywhere = windows(blocks, config.local_window_blocks), seen_by_all(blocks, config.global_ranges)
        return near | everywhere | drawn(heads, blocks, config.num_random_blocks or 0, random)
