"""Messages out of a stream of bytes, no larger than they may be."""

from __future__ import annotations

import reprlib
from collections.abc import Callable

from neox_core.data.online.groups import MessageError

_CHUNK = 2**16


class Incoming:
    """Lines, and bytes of a known number, of what `receive` brings.

    Args:
        receive: returns at most so many bytes as it is asked for, as soon as there are some; none when the other side is done.
    """

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes that have come and were not asked for."""
        return len(self._buffer)

    def line(self, most: int) -> bytes | None:
        """The next line, an object of JSON of at most `most` bytes; None when the other side is done.

        Raises:
            MessageError: what comes is no object, or longer.
            ConnectionError: the other side stops within the line.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > most:
                raise MessageError(f"a line has more than {most:,} bytes, which is too long")
            if not self._more(_CHUNK):
                return None
            if not self._buffer.startswith(b"{"):
                raise MessageError(f"{reprlib.repr(bytes(self._buffer))} is not the beginning of a JSON object")
        return self._cut(end + 1)

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes; raises `ConnectionError` when the other side stops before."""
        while len(self._buffer) < count:
            if not self._more(count - len(self._buffer)):
                raise ConnectionError("the connection was closed before the message")
        return self._cut(count)

    def _more(self, most: int) -> bool:
        """Receive something; False where the other side is done, between messages."""
        received = self._receive(min(most, 2**20))
        self._buffer += received
        if not received and self._buffer:
            raise ConnectionError(f"the connection was closed after {len(self._buffer)} bytes of a message")
        return bool(received)

    def _cut(self, count: int) -> bytes:
        cut = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return cut
