"""The texts that a tokenizer is trained on, one at a time, in the order in which they are named."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from neox_core.data.corpora import stdlib
from neox_core.data.tokenizers.protocol import require_text
from neox_core.errors import UserError

STDLIB = "stdlib"
"""The input that is no file: the sources of Python's standard library."""


def training_texts(inputs: Iterable[str], key: str = "text") -> Iterator[str]:
    """The texts of `stdlib`, of .txt files (one a file) and .jsonl files (one a line, under `key`), either with .gz or without.

    Raises:
        UserError: a file is missing, of another kind, or damaged; it is told with its line.
    """
    for name in inputs:
        if name == STDLIB:
            yield from (document.text for document in stdlib.documents())
        else:
            yield from _file_texts(Path(name), key)


def _file_texts(path: Path, key: str) -> Iterator[str]:
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    read = READERS.get(suffixes[-1] if suffixes else "")
    if read is None:
        ends = ", ".join(READERS)
        raise UserError(
            f"{path}: its kind is not known; name {STDLIB}, or files that end in {ends}, or those with .gz."
        )
    try:
        with cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as stream:
            for text, where in read(stream, path, key):
                _require(text, where)
                yield text
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({reason}); give an undamaged file.") from error


def _require(text: str, where: str) -> None:
    try:
        require_text([text])
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _whole(stream: IO[bytes], path: Path, key: str) -> Iterator[tuple[str, str]]:
    try:
        yield stream.read().decode(), str(path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}); convert it.") from error


def _lines(stream: IO[bytes], path: Path, key: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(stream, start=1):
        where = f"{path}:{number}"
        if line.strip():
            yield _text_under(key, line, where), where


def _text_under(key: str, line: bytes, where: str) -> str:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is no JSON ({error}); mend the line or leave it out.") from error
    text = found.get(key) if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise UserError(f"{where} has no text under {key!r}; name the key of the text with --jsonl-key.")
    return text


READERS: Mapping[str, Callable[[IO[bytes], Path, str], Iterator[tuple[str, str]]]] = {
    ".jsonl": _lines,
    ".txt": _whole,
}
"""By the end of the file's name."""
