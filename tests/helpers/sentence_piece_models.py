"""Small models of SentencePiece."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sentencepiece


def train(path: Path, sentences: Iterable[str], size: int, **options: Any) -> Path:
    """Write a model of byte pairs with so many pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        minloglevel=2,
        vocab_size=size,
        model_type="bpe",
        **options,
    )
    path.write_bytes(model.getvalue())
    return path
