"""The keys that every run must give, for a model that is small enough to look at."""

from __future__ import annotations

from typing import Any

MODEL: dict[str, Any] = {
    "num_layers": 4,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "seq_length": 8,
    "max_position_embeddings": 8,
    "train_iters": 5,
    "train_micro_batch_size_per_gpu": 2,
}
