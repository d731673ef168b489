"""Tokenizers as they lie in directories of other programs; costs no torch."""

from __future__ import annotations

from pathlib import Path

from neox_core.data.tokenizers import TokenizerSource, read_source

DEFINITION, MODEL = "tokenizer.json", "tokenizer.model"


def find_tokenizer(path: Path) -> TokenizerSource | None:
    """The tokenizer of a directory; None where there is none that neox can read."""
    if (path / DEFINITION).is_file():
        return read_source("HFTokenizer", path / DEFINITION)
    if is_sentence_piece(path / MODEL):
        return read_source("SPMTokenizer", path / MODEL)
    if (path / "vocab.json").is_file() and (path / "merges.txt").is_file():
        return read_source("HFGPT2Tokenizer", path / "vocab.json", path / "merges.txt")
    return None


def is_sentence_piece(path: Path) -> bool:
    """Whether a file is a model of SentencePiece: it begins with its first piece, as a message in a field of number 1."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"\x0a"
