"""`neox data tokenizer show`: what a tokenizer has, and what a text becomes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neox_core.errors import READABLE
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_core.data.tokenizers import Tokenizer

KIND_OF_SUFFIX = {".model": "SPMTokenizer", ".tiktoken": "TiktokenTokenizer", ".json": None, "": "HFGPT2Tokenizer"}
"""The kind that the end of a file's name means; a .json says itself which it is, and a directory's name has no end."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="neox data tokenizer show",
        description="Show a tokenizer's kind, entries and special tokens; with --text, the ids and entries of a text too.",
    )
    add = parser.add_argument
    add(
        "vocab_file",
        nargs="?",
        metavar="FILE",
        help="its file, as vocab_file names it; a checkpoint's tokenizer.json too",
    )
    add("--tokenizer-type", metavar="TYPE", help="GPT-NeoX's name of its kind (default: by the end of the file's name)")
    add("--merge-file", metavar="FILE", help="the merges of a GPT2BPETokenizer")
    add("--text", help="a text to encode")
    return parser


def main(argv: list[str], context: CommandContext) -> int:
    """Print what there is to know."""
    arguments = parser().parse_args(argv)
    if arguments.vocab_file is None and arguments.tokenizer_type is None:
        parser().error("name a file, or a --tokenizer-type that needs none")
    tokenizer = _open(arguments.vocab_file, arguments.tokenizer_type, arguments.merge_file)
    print("\n".join(_facts(tokenizer)))
    if arguments.text is not None:
        print("\n".join(["", *_encoded(tokenizer, arguments.text)]))
    return 0


def _open(vocab_file: str | None, kind: str | None, merge_file: str | None) -> Tokenizer:
    from neox_core.data.tokenizers import load_tokenizer, restore_tokenizer

    if kind is None and merge_file is not None:
        kind = "GPT2BPETokenizer"
    if kind is None and vocab_file is not None:
        kind = KIND_OF_SUFFIX.get(Path(vocab_file).suffix, "HFTokenizer")
    if kind is None:
        return restore_tokenizer(str(vocab_file))
    return load_tokenizer(kind, vocab_file, merge_file)


def _facts(tokenizer: Tokenizer) -> Iterator[str]:
    rows = [
        ("kind", tokenizer.source.tokenizer_type),
        ("entries", f"{tokenizer.vocab_size:,}"),
        ("end of document", _entry(tokenizer, tokenizer.eod_id)),
        ("padding", _entry(tokenizer, tokenizer.pad_id)),
        ("fingerprint", tokenizer.fingerprint),
    ]
    yield from (f"{name:16} {value}" for name, value in rows)
    special = tokenizer.special_tokens
    yield f"{'special tokens':16} {len(special)}"
    yield from (f"{number:>12}  {token}" for token, number in list(special.items())[:READABLE])
    if len(special) > READABLE:
        yield f"{'':14}and {len(special) - READABLE} more"


def _entry(tokenizer: Tokenizer, token: int | None) -> str:
    return "none" if token is None else f"{token} {tokenizer.piece(token)}"


def _encoded(tokenizer: Tokenizer, text: str) -> Iterator[str]:
    ids = tokenizer.encode(text)
    yield f"{len(ids)} tokens, {len(text.encode())} bytes"
    yield from (f"{token:>12}  {tokenizer.piece(token)!r}" for token in ids)
