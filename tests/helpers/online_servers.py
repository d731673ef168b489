"""Servers of samples for tests: ours in a process that can be killed, and bare sockets that follow a script."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from neox_core.data.online.addresses import Address
from neox_core.data.online.messages import Request

PROTOCOL = "neox-online/1"

Deed = Callable[[socket.socket], object]
"""What a scripted server does with a connection before it closes it."""

_COUNTING_SERVER = """
import sys
from neox_core.data.online.groups import Group
from neox_core.data.online.server import BatchServer

def make_batch(request):
    print("made", request.batch, flush=True)
    return [Group([1, 2], [[3, request.batch], [4]], [float(request.batch), 0.5])]

with BatchServer(make_batch, port=int(sys.argv[1])) as server:
    print("listens", server.address.port, flush=True)
    server.serve_forever()
"""


def request(batch: int = 0, **changes) -> Request:
    """A request of a run of one rank."""
    facts = {"split": "train", "rank": 0, "world_size": 1, "seq_length": 8, "vocab_size": 100} | changes
    return Request(batch=batch, **facts)


def answer(batch: int = 0, **changes) -> bytes:
    """The answer to that in the plain form: one group of two completions."""
    group = {"prefix": [1, 2], "completions": [[3], [4, 5]], "rewards": [1.0, 0.5]}
    return line(**({"batch": batch, "groups": [group]} | changes))


def line(**message: object) -> bytes:
    """A message as it is sent."""
    return json.dumps({"protocol": PROTOCOL, **message}).encode() + b"\n"


def hears(connection: socket.socket) -> dict[str, object]:
    """The next request, read as a server without our code would."""
    return json.loads(connection.makefile("rb").readline())


def says(*messages: bytes) -> Deed:
    """Hear a request and send one message, for each of them."""

    def deed(connection: socket.socket) -> None:
        for message in messages:
            hears(connection)
            connection.sendall(message)

    return deed


@contextmanager
def scripted_server(deeds: Iterable[Deed]) -> Iterator[Address]:
    """A server that does one deed with each connection, in their order."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work() -> None:
            for deed in deeds:
                try:
                    connection, _ = listener.accept()
                    with connection:
                        deed(connection)
                except OSError:  # the client has what it wants
                    pass

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield Address(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)  # ends a wait for connections
        thread.join(timeout=10)


class ServerProcess:
    """Our server in a process of its own: batch b is one group with completions [3, b] and [4], of rewards b and 0.5."""

    def __init__(self, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _COUNTING_SERVER, str(port)], stdout=subprocess.PIPE, text=True
        )
        self.address = Address("127.0.0.1", int(self._says().removeprefix("listens ")))

    def _says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> list[str]:
        """End it as the kernel would; what it said since the beginning."""
        self.process.kill()
        return self.process.communicate(timeout=10)[0].splitlines()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
