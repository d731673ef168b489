"""Compressed streams of bytes. A stream that is cut off raises `EOFError`, whatever the compression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, BinaryIO, cast

from neox_core.errors import UserError

_READ = 1 << 16  # bytes taken from the compressed file at once


def _zstd(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_ZstdStream(raw), _READ))


DECOMPRESSORS: dict[str, Callable[[BinaryIO], IO[bytes]]] = {
    ".gz": lambda raw: cast(IO[bytes], gzip.GzipFile(fileobj=raw)),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstd,
}
"""By suffix, what turns a compressed stream into a readable one."""


DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What reading a damaged or truncated stream raises."""


class _ZstdStream(io.RawIOBase):
    """The frames of a zstd file one after another. (The library's own stream takes a cut-off file for a finished one.)"""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._new_frame = _zstd_frames()
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output and self._more():
            pass
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._output))
        target[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _more(self) -> bool:
        """Decompress the next piece; False at the end of the file."""
        self._input = self._input or self._raw.read(_READ)
        if not self._input:
            if self._frame is not None:
                raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            return False
        self._frame = self._frame or self._new_frame()
        try:
            self._output = memoryview(self._frame.decompress(self._input))
        except Exception as error:  # ZstdError, whose module is loaded only when it is used
            raise OSError(f"invalid zstd data: {error}") from error
        self._input = b""
        if self._frame.eof:
            self._input, self._frame = self._frame.unused_data, None
        return True


def _zstd_frames() -> Callable[[], Any]:
    try:
        import zstandard
    except ImportError as error:
        raise UserError(
            "Files ending in .zst need a package that is missing: pip install 'neox-toolkit[zstandard]'"
        ) from error
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    return decompressor.decompressobj
