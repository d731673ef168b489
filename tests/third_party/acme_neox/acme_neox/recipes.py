"""A run of its own vocabulary."""

from __future__ import annotations

from typing import Any

from neox_core import Partial, trains


@trains
def pretrain(layers: int, **settings: Any) -> dict[str, Any]:
    """Train so many layers on computed samples."""
    return {
        "num_layers": layers,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "seq_length": 16,
        "max_position_embeddings": 16,
        "vocab_size": 64,
        "mock_data": True,
        "train_iters": 2,
        "train_batch_size": 4,
        **settings,
    }


def tiny(layers: int = 2) -> Partial[Any]:
    """Two layers."""
    return Partial(pretrain, layers=layers)
