"""A server of samples: threads around one function that makes a batch."""

from __future__ import annotations

import logging
import socket
import socketserver
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock

from neox_core.data.online.addresses import Address
from neox_core.data.online.answers import answer_message
from neox_core.data.online.framing import Incoming
from neox_core.data.online.groups import Group
from neox_core.data.online.messages import Request, error_message, read_request

logger = logging.getLogger("neox")

MakeBatch = Callable[[Request], Sequence[Group]]
"""Makes the groups that a request asks for; called from several threads at once, one for each split and rank."""

MOST_REQUEST_BYTES = 2**16


def serve(make_batch: MakeBatch, host: str = "127.0.0.1", port: int = 10000) -> None:
    """Serve batches until the process is interrupted.

    `host` is the address to listen at: that of this machine alone, or `0.0.0.0` for all that it has. There are no passwords; let
    only machines that you trust reach the port. Raises `OSError` where the port is taken.
    """
    with BatchServer(make_batch, host, port) as server, suppress(KeyboardInterrupt):
        server.serve_forever()


class BatchServer(socketserver.ThreadingTCPServer):
    """Answers each connection in a thread of its own, from when it is made until `server_close`.

    The last answer for each split and rank is kept: who asks for the same again, since the connection broke, gets the same. An
    exception of `make_batch` ends the run that asked, with its sentence, and is logged here; the server goes on.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, make_batch: MakeBatch, host: str = "127.0.0.1", port: int = 10000) -> None:
        self._make_batch = make_batch
        self._looking = Lock()
        self._answers: defaultdict[tuple[str, int], _LastAnswer] = defaultdict(_LastAnswer)
        super().__init__((host, port), _Connection)

    @property
    def address(self) -> Address:
        """Where it listens; with port 0 the system has chosen one."""
        return Address(*self.socket.getsockname()[:2])

    def answer(self, request: Request) -> bytes:
        """The message that answers a request. Raises what `make_batch` does, and `MessageError` where its groups break a rule."""
        with self._looking:
            last = self._answers[request.split, request.rank]
        return last.to(request, self._make_batch)


class _LastAnswer:
    """What was answered last to one rank about one split."""

    def __init__(self) -> None:
        self._lock = Lock()  # a client that comes back while its batch is being made waits for that
        self._request: Request | None = None
        self._message = b""

    def to(self, request: Request, make_batch: MakeBatch) -> bytes:
        with self._lock:
            if request != self._request:
                self._message = answer_message(request, make_batch(request))
                self._request = request
            return self._message


class _Connection(socketserver.BaseRequestHandler):
    """Requests of one client, one after the other."""

    server: BatchServer
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # so that threads of lost clients end
        incoming = Incoming(self._receive)
        try:
            while (line := incoming.line(MOST_REQUEST_BYTES)) is not None:
                self._send(self.server.answer(read_request(line)))
        except Exception as error:
            logger.exception("No batch for %s", Address(*self.client_address[:2]))
            self._send(error_message(f"{type(error).__name__}: {error}"))

    def _receive(self, most: int) -> bytes:
        try:
            return self.request.recv(most)
        except ConnectionError:
            return b""

    def _send(self, message: bytes) -> None:
        with suppress(ConnectionError):  # a client that went away is no error of the server's
            self.request.sendall(message)
