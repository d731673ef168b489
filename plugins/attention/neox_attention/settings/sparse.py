"""Keys of block-sparse attention."""

from typing import Any

from neox_core.config import Settings, setting


class SparseSettings(Settings, group="sparse"):
    """Block-sparse attention: local, sparse_fixed, sparse_variable, bigbird, bslongformer."""

    sparsity_config: dict[str, Any] | None = setting(
        None,
        "Which blocks are seen: `block` (tokens a side), num_local_blocks, num_global_blocks, num_random_blocks, "
        "num_sliding_window_blocks, num_different_global_patterns, local_window_blocks, global_block_indices, "
        "global_block_end_indices, different_layout_per_head",
        from_checkpoint="match",
        origin="gpt-neox",
        pending=True,
    )
