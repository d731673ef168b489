"""Batches from a server, whatever happens to the connection."""

from __future__ import annotations

import socket
from collections.abc import Callable

from neox_core.data.online.addresses import Address
from neox_core.data.online.answers import ID_BYTES, ids_that_follow, read_answer
from neox_core.data.online.framing import Incoming
from neox_core.data.online.groups import Group, MessageError
from neox_core.data.online.messages import MOST_ERROR, MOST_LINE_BYTES, Request, read_line, request_message
from neox_core.data.online.waiting import Wait
from neox_core.errors import UserError, shortened

TIMEOUT = 600.0
"""Seconds for one batch, connecting and connecting again included."""

REMINDER = 30.0
"""Seconds between two messages that it is still waiting."""


class BatchClient:
    """Asks one server for batches, over a connection that it keeps.

    A connection that cannot be made or breaks is made again, and the same batch asked for again, until a whole answer has come.
    So each batch is taken exactly once.

    Args:
        timeout: seconds for one batch.
        reminder: seconds between two messages that it is still waiting.
        tell: gets those messages.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = TIMEOUT,
        reminder: float = REMINDER,
        tell: Callable[[str], None],
    ) -> None:
        self.address = address
        self._timeout, self._reminder, self._tell = timeout, reminder, tell
        self._idle: socket.socket | None = None

    def batch(self, request: Request) -> list[Group]:
        """The groups of a batch, ids as int32 arrays.

        Raises:
            UserError: the time is over; or, at once, the server says an error or something that is no valid answer.
        """
        wait = Wait(f"{self.address} to make {request}", self._timeout, self._reminder, self._tell)
        while True:
            try:
                return self._ask(request, wait)
            except OSError as error:
                wait.pause(str(error))
            except MessageError as error:
                raise UserError(
                    f"The answer of {self.address} to {request} is wrong: {error}. Mend the server; docs/online.md says what "
                    "it must send."
                ) from None

    def close(self) -> None:
        """End the connection, if there is one; the next batch makes another."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def _ask(self, request: Request, wait: Wait) -> list[Group]:
        connection, self._idle = self._idle or self._connect(wait), None
        try:
            connection.settimeout(wait.step())
            connection.sendall(request_message(request))
            wait.reason = "it has not answered"
            groups = self._answer(Incoming(lambda most: _received(connection, most, wait)), request)
        except BaseException:
            connection.close()  # the rest of an answer may come here, which the next question must not get
            raise
        self._idle = connection
        return groups

    def _connect(self, wait: Wait) -> socket.socket:
        connection = socket.create_connection((self.address.host, self.address.port), timeout=wait.step())
        if connection.getsockname() == connection.getpeername():
            connection.close()  # TCP can do so at a port of this host where nobody listens
            raise ConnectionError("nobody listens there")
        return connection

    def _answer(self, incoming: Incoming, request: Request) -> list[Group]:
        line = incoming.line(MOST_LINE_BYTES)
        if line is None:
            raise ConnectionError("the server closed the connection without an answer")
        header = read_line(line)
        if "error" in header:
            raise UserError(
                f"{self.address} cannot make {request}: it says {shortened(str(header['error']), MOST_ERROR)!r}"
            )
        body = incoming.exactly(ID_BYTES * ids_that_follow(header))
        if incoming.waiting:
            raise MessageError(f"{incoming.waiting} bytes follow it that it does not announce")
        return read_answer(header, body, request)


def _received(connection: socket.socket, most: int, wait: Wait) -> bytes:
    while True:
        connection.settimeout(wait.step())
        try:
            return connection.recv(most)
        except TimeoutError:
            continue  # the next step tells so, or gives up
