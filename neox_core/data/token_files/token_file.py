"""Read access to token files."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.index import Index
from neox_core.data.token_files.index_reading import read_index
from neox_core.data.token_files.layout import Format
from neox_core.errors import UserError, did_you_mean
from neox_core.file_locks import is_at

_SEQUENCES = 1 << 20  # looked at together when streaming
_TOKENS = 1 << 20  # of a piece


class TokenFile:
    """The sequences of token ids in a pair of files; nothing is copied, or read, until it is used. `open_tokens` makes it.

    Training takes each sequence as a document. Can be pickled: it is opened again by its prefix.

    Args:
        prefix: of the files.
        index: what `PREFIX.idx` says.
        content: `PREFIX.bin`; None for an empty one.
    """

    def __init__(self, prefix: str, index: Index, content: mmap.mmap | None) -> None:
        self.prefix = prefix
        self.format: Format = index.format
        self.dtype = index.dtype
        self.sizes = index.sizes
        """Tokens in each sequence, int32 [sequences]."""
        self.document_index = index.document_index
        """At which sequence each document begins, and the number of sequences, int64, as stored; training ignores it."""
        self.notices = index.notices
        """What a user should know about the files."""
        self._content = content
        self._tokens: npt.NDArray[Any] = np.frombuffer(b"" if content is None else content, self.dtype)
        self._starts = index.starts
        self._per_token = self.dtype.itemsize // index.unit
        # These give integers, several times faster than indexing does.
        self._start_of, self._size_of = index.starts.item, index.sizes.item

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> npt.NDArray[Any]:
        return self.get(i)

    def get(self, i: int, offset: int = 0, length: int | None = None) -> npt.NDArray[Any]:
        """Tokens `offset` to `offset + length` (default: to the end) of sequence `i`: a read-only view, at most [length]."""
        start = self._start_of(i) // self._per_token
        size = self._size_of(i)
        end = size if length is None else min(size, offset + length)
        return self._tokens[start + offset : start + end]

    def at(self, sequences: npt.NDArray[Any], offsets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One token of each of some sequences: the one at `offsets[n]` of sequence `sequences[n]`, which must have it; [sequences]."""
        found: npt.NDArray[Any] = self._tokens[self._starts[sequences] // self._per_token + offsets]
        return found

    def stream(self, first: int = 0, last: int | None = None) -> Iterator[npt.NDArray[Any]]:
        """The tokens of sequences `first` to `last` (default: all), one after the other, in views of a million at most.

        Memory does not grow: that of a view is given back when the next one is asked for.
        """
        for start, end in self.runs(first, last):
            yield from self._pieces(start, end)

    def runs(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, int]]:
        """Where the tokens of sequences `first` to `last` lie in the file: begin and end of what lies together."""
        last = len(self) if last is None else last
        for begin in range(first, last, _SEQUENCES):
            starts = self._starts[begin : min(begin + _SEQUENCES, last)] // self._per_token
            ends = starts + self.sizes[begin : begin + len(starts)]
            cuts = np.flatnonzero(starts[1:] != ends[:-1]) + 1
            for run, after in pairwise([0, *cuts.tolist(), len(starts)]):
                yield int(starts[run]), int(ends[after - 1])

    @property
    def nbytes(self) -> int:
        """Bytes of `.bin`."""
        return self._tokens.nbytes

    def __reduce__(self) -> tuple[Any, ...]:
        return open_tokens, (self.prefix,)

    def _pieces(self, start: int, end: int) -> Iterator[npt.NDArray[Any]]:
        for at in range(start, end, _TOKENS):
            after = min(at + _TOKENS, end)
            yield self._tokens[at:after]
            if self._content is not None:
                page = at * self.dtype.itemsize // mmap.PAGESIZE * mmap.PAGESIZE
                self._content.madvise(mmap.MADV_DONTNEED, page, after * self.dtype.itemsize - page)


def open_tokens(prefix: str | Path, impl: str = "infer") -> TokenFile:
    """Open the token files of a prefix, which are checked against each other; only the index is read.

    Args:
        prefix: the part before `.bin` and `.idx`.
        impl: format that the files must have, `mmap` or `cached`; `infer` for either.

    Raises:
        UserError: a file is missing or damaged, the two do not belong together, or have another format.
    """
    check_impl(impl)
    index_path, tokens_path = Path(f"{prefix}.idx"), Path(f"{prefix}.bin")
    while True:
        index_file, tokens_file = _map(index_path), _map(tokens_path)
        if is_at(index_file.status, index_path):
            break  # a writer takes the index away before it changes the tokens: these belong together
    index = read_index(index_path, np.frombuffer(index_file.content or b"", np.uint8), tokens_file.length)
    if index.end() != tokens_file.length:
        raise UserError(
            f"{tokens_path}: the file has {tokens_file.length} bytes where its index ({index_path.name}) describes {index.end()}: "
            "it is damaged, or the two do not belong together. Copy or make both again."
        )
    if impl not in ("infer", index.format):
        asked = f"data_impl asks for {impl}; set data_impl: infer, or {index.format}"
        raise UserError(f"{index_path}: the files have the format {index.format}, and {asked}")
    return TokenFile(str(prefix), index, tokens_file.content)


def check_impl(impl: str, known: tuple[str, ...] = ("infer", "mmap", "cached")) -> None:
    """Raises `UserError` when `impl` is no format."""
    if impl == "lazy":
        raise UserError(
            "data_impl: 'lazy' is what GPT-NeoX's tools call writing the cached format; set infer or cached"
        )
    if impl not in known:
        raise UserError(f"data_impl: there is no format '{impl}'; {did_you_mean(impl, known)}")


class _Mapped(NamedTuple):
    content: mmap.mmap | None  # an empty file cannot be mapped
    status: os.stat_result

    @property
    def length(self) -> int:
        return self.status.st_size


def _map(path: Path) -> _Mapped:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            return _Mapped(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if status.st_size else None, status)
    except OSError as error:
        raise UserError(
            f"{path}: this token file cannot be read ({error.strerror}). A data path is the part before `.bin` and `.idx` of two "
            "files that exist; check it, or make the files (`neox data prepare`)."
        ) from error
