"""A model and a data file so small that a training run on a CPU takes as long as its imports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from neox_core.data.token_files import TokenFileWriter

VOCABULARY = 64
MODEL: dict[str, Any] = {
    "num_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "seq_length": 16,
    "max_position_embeddings": 16,
    "pos_emb": "rotary",
    "vocab_size": VOCABULARY,
    "make_vocab_size_divisible_by": 8,
}
TRAINING: dict[str, Any] = {
    "train_iters": 6,
    "train_batch_size": 4,
    "data_path": "data/tokens",
    "split": "1, 0, 0",
    "device": "cpu",
    "eval_iters": 0,
    "optimizer": {"type": "adamw", "params": {"lr": 0.01}},
}


def write_data(directory: Path, *, largest: int = VOCABULARY - 1) -> None:
    """`data/tokens` with 40 documents of random tokens."""
    (directory / "data").mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    with TokenFileWriter(directory / "data" / "tokens", "uint16") as writer:
        for _ in range(40):
            writer.add(random.integers(0, largest + 1, 50))


def write_config(directory: Path, name: str = "tiny.yml", **changes: Any) -> Path:
    """A configuration of the tiny model; None as a change leaves the key out. JSON, which is YAML."""
    values = {key: value for key, value in {**MODEL, **TRAINING, **changes}.items() if value is not None}
    path = directory / name
    path.write_text(
        "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()) + "\n}\n"
    )
    return path


def listing(directory: Path) -> dict[str, bytes | None]:
    """Every file below a directory with its content, and every folder: to see that nothing was written or lost."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }
