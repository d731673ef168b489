"""Messages between two ranks: a line of JSON each, over a TCP connection, without ever waiting."""

from __future__ import annotations

import json
import selectors
import socket
import time
from typing import Any

LONGEST = 1 << 20
"""Bytes of a message, and of what is kept for a receiver that does not read."""

UNREACHABLE = 60
"""Seconds without a sign from the other machine's kernel after which a connection counts as lost."""

FOREIGN = "what comes is not of a rank"
CLOSED = "the connection was closed"

Message = dict[str, Any]


class Channel:
    """One end of a connection. What `receive` and `send` raise, ConnectionError, says that the other end is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._in = self._out = b""
        self._come: list[Message] = []
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_USER_TIMEOUT", UNREACHABLE * 1000)):
            if hasattr(socket, name):  # Linux
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def fileno(self) -> int:
        """For selectors: readable when there is something to receive."""
        return self._socket.fileno()

    def send(self, message: Message) -> None:
        """Send a message, or as much of it as fits; the rest goes with the next. One for a receiver that long has not read is lost."""
        if len(self._out) < LONGEST:
            self._out += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what did not fit before."""
        try:
            while self._out:
                self._out = self._out[self._socket.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise ConnectionError(_said(error)) from error

    def receive(self) -> list[Message]:
        """The messages that have come.

        Raises:
            ConnectionError: the other end is gone, or what it sends are no messages.
        """
        try:
            self._receive()
        except ConnectionError:
            if not self._come:
                raise
        come, self._come = self._come, []
        return come

    def wait(self, seconds: float) -> Message:
        """The next message alone.

        Raises:
            ConnectionError: as in `receive`.
            TimeoutError: none has come in time.
        """
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            while not self._come:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError(f"it says nothing for {seconds:.0f} s")
                self._receive()
        return self._come.pop(0)

    def _receive(self) -> None:
        try:
            chunk = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionError(_said(error)) from error
        if not chunk:
            raise ConnectionError(CLOSED)
        *lines, self._in = (self._in + chunk).split(b"\n")
        if len(self._in) > LONGEST:
            raise ConnectionError(FOREIGN)
        self._come += map(_message, lines)

    def close(self) -> None:
        """End the connection; what was sent still arrives."""
        self._socket.close()


def _message(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ConnectionError(FOREIGN) from error
    if not isinstance(message, dict):
        raise ConnectionError(FOREIGN)
    return message


def _said(error: OSError) -> str:
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return CLOSED  # as well, but before all was read that had been sent to the other side
    return error.strerror or str(error)
