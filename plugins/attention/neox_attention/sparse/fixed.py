"""Windows side by side, and blocks that stand for them."""

from __future__ import annotations

import torch
from torch import Tensor

from neox_attention.settings.sparse import SparsityConfig
from neox_attention.sparse.attention import SparseAttention
from neox_attention.sparse.layouts import seen_by_all, windows


class FixedAttention(SparseAttention):
    """The "fixed" pattern of Child et al., "Generating Long Sequences with Sparse Transformers", 2019.

    A block sees its own window, of `num_local_blocks` (4), and of each window the `num_global_blocks` (1) that stand for it: the
    last ones. With `num_different_global_patterns` the next head takes those before them, and so on, in turn.
    """

    @staticmethod
    def make_layout(config: SparsityConfig, heads: int, blocks: int, random: torch.Generator) -> Tensor:
        """Windows, and for each pattern what stands for them."""
        size, standing = config.num_local_blocks or 4, config.num_global_blocks
        layouts = []
        for pattern in range(min(heads, config.num_different_global_patterns)):
            first = size - (pattern + 1) * standing
            starts = [
                min(start, blocks - standing) for start in range(first, first + blocks, size)
            ]  # a short last window
            layouts.append(seen_by_all(blocks, [(max(start, 0), start + standing) for start in starts]))
        return windows(blocks, [size]) | torch.cat(layouts)
