"""Puts token files together, and takes them apart, in memory that does not grow with them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.counting import Counts, count, document_ends
from neox_core.data.token_files.layout import Format
from neox_core.data.token_files.token_file import TokenFile, open_tokens
from neox_core.data.token_files.writer import TokenFileWriter
from neox_core.errors import UserError

_AT_ONCE = 1 << 20  # sequences


def merge(prefixes: Sequence[str | Path], output: str | Path, dtype: npt.DTypeLike | None = None) -> Counts:
    """Write the documents of several token files one after the other, as if they had been written at once.

    The output has the format of the inputs; mmap, where they differ.

    Args:
        prefixes: of the inputs, in order.
        output: prefix to write.
        dtype: element type to write, which holds all that those of the inputs hold; by default theirs.

    Returns:
        What was written.

    Raises:
        UserError: an input is missing or damaged, or is the output; the element types differ, or do not fit in `dtype`; the file
            system refuses.
    """
    kinds = [_kind(prefix, output) for prefix in prefixes]
    wanted = _common_type(kinds) if dtype is None else np.dtype(dtype)
    for kind in kinds:
        if not np.can_cast(kind.dtype, wanted, "safe"):
            raise UserError(
                f"{kind.prefix}: holds {kind.dtype.name}, which {wanted.name} cannot hold; choose a wider type"
            )
    formats = {kind.format for kind in kinds}
    impl: Format = formats.pop() if len(formats) == 1 else "mmap"
    with TokenFileWriter(output, wanted, impl) as writer:
        for prefix in prefixes:
            tokens = open_tokens(prefix)
            _copy(tokens, writer, 0, len(tokens), document_ends(tokens))
    return count(open_tokens(output))


def extract(tokens: TokenFile, output: str | Path, first: int, last: int) -> Counts:
    """Write the sequences `first` to `last` of a token file to one of their own; a document that this cuts is two.

    Raises:
        UserError: the output is the input, or the file system refuses.
    """
    require_other(tokens.prefix, output)
    ends = document_ends(tokens)
    inside = ends[bisect_right(ends, first) : bisect_right(ends, last)]
    cut = first < last and (len(inside) == 0 or inside[-1] < last)
    with TokenFileWriter(output, tokens.dtype, tokens.format) as writer:
        _copy(tokens, writer, first, last, np.append(inside, last) if cut else inside)
    return count(open_tokens(output))


def prefixes_in(directory: Path) -> list[Path]:
    """The prefixes of all token files in a directory, sorted by name.

    Raises:
        UserError: there is none, or one of a pair is missing.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: is no directory; give one that has token files")
    files = {path for path in directory.iterdir() if path.suffix in (".bin", ".idx") and not path.name.startswith(".")}
    for path in sorted(files):
        other = path.with_suffix(".idx" if path.suffix == ".bin" else ".bin")
        if other not in files:
            raise UserError(f"{path}: {other.name} is missing beside it; copy it there, or take this one away")
    if not files:
        raise UserError(f"{directory}: has no token files (`.bin` and `.idx`)")
    return sorted({path.with_suffix("") for path in files})


def require_other(prefix: str, output: str | Path) -> None:
    """Raises `UserError` when `output` names the token files of `prefix`."""
    if Path(f"{prefix}.bin").resolve() == Path(f"{output}.bin").resolve():
        raise UserError(f"{output}: is read, and cannot be written at the same time; choose another output prefix")


class _Kind(NamedTuple):
    """What a merge must know of an input before it begins; there may be more inputs than can be open at once."""

    prefix: str
    dtype: np.dtype[Any]
    format: Format


def _kind(prefix: str | Path, output: str | Path) -> _Kind:
    require_other(str(prefix), output)
    tokens = open_tokens(prefix)
    return _Kind(tokens.prefix, tokens.dtype, tokens.format)


def _common_type(kinds: Sequence[_Kind]) -> np.dtype[Any]:
    if not kinds:
        raise UserError("there is nothing to merge; name the prefixes of token files")
    first = kinds[0]
    for kind in kinds:
        if kind.dtype != first.dtype:
            wider = np.promote_types(kind.dtype, first.dtype).name
            differ = f"{kind.prefix} holds {kind.dtype.name} and {first.prefix} holds {first.dtype.name}"
            raise UserError(f"{differ}; choose the element type to write, such as --dtype {wider}")
    return first.dtype


def _copy(
    tokens: TokenFile, writer: TokenFileWriter, first: int, last: int, ends: npt.NDArray[np.int64] | range
) -> None:
    """Append sequences, and the ends of documents among them, of which there may be such that are empty at either end."""
    written = 0
    for begin in range(first, max(last, first + 1), _AT_ONCE):
        end = min(begin + _AT_ONCE, last)
        until = len(ends) if end == last else bisect_right(ends, end)
        inside = np.asarray(ends[written:until], "<i8") - begin
        writer.extend(_converted(tokens.stream(begin, end), writer.dtype), tokens.sizes[begin:end], inside)
        written = until


def _converted(pieces: Iterator[npt.NDArray[Any]], dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    for piece in pieces:
        yield piece.astype(dtype, copy=False)
