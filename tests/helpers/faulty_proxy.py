"""A connection to a server of S3 that fails as networks and servers do: it stands between them, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

FULL = b"<?xml version='1.0'?><Error><Code>InsufficientStorage</Code><Message>full</Message></Error>"


@dataclass
class Faults:
    """What is wrong, for connections that are made from now on.

    Args:
        flip_at: the byte with this number that a client sends in a large request is another one.
        drop_at: connections end when so many bytes have come from either side.
        stall_at: nothing is passed on after so many bytes.
        full: requests that write are answered by the proxy: there is no room.
        rate: bytes a second that come from a client at most, of each connection.
        times: how many connections this happens to; None: all.
    """

    flip_at: int | None = None
    drop_at: int | None = None
    stall_at: int | None = None
    full: bool = False
    rate: float | None = None
    times: int | None = None


@dataclass
class Proxy:
    """A running one.

    Args:
        port: where it listens.
        target: the port of the server.
        faults: what is wrong; may be replaced at any time.
        happened: how often something was.
        sent: bytes that came from clients.
    """

    port: int
    target: int
    faults: Faults = field(default_factory=Faults)
    happened: int = 0
    sent: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def strikes(self) -> bool:
        """Whether the fault happens this time."""
        if self.faults.times is not None and self.happened >= self.faults.times:
            return False
        self.happened += 1
        return True


@contextmanager
def faulty_proxy(target: int) -> Iterator[Proxy]:
    """A proxy to a port of this machine."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        proxy = Proxy(listener.getsockname()[1], target)
        threading.Thread(target=_accept, args=(listener, proxy), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            listener.close()


def _accept(listener: socket.socket, proxy: Proxy) -> None:
    with suppress(OSError):
        while not proxy.ended.is_set():
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, proxy), daemon=True).start()


def _serve(client: socket.socket, proxy: Proxy) -> None:
    try:
        server = socket.create_connection(("127.0.0.1", proxy.target), timeout=5)
        server.settimeout(None)
    except OSError:
        client.close()
        return
    other = threading.Thread(target=_pass_on, args=(server, client, proxy, False), daemon=True)
    other.start()
    _pass_on(client, server, proxy, True)


def _pass_on(source: socket.socket, target: socket.socket, proxy: Proxy, from_client: bool) -> None:
    """Until either end is closed; then both are."""
    passed, request = 0, 0
    with suppress(OSError):
        while data := source.recv(65536):
            faults = proxy.faults
            if from_client:
                begins = data[:4] in (b"PUT ", b"POST", b"GET ", b"HEAD", b"DELE")
                request = len(data) if begins else request + len(data)
                proxy.sent += len(data)
                if faults.full and begins and data[:3] in (b"PUT", b"POS") and proxy.strikes():
                    head = (
                        b"HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                    )
                    source.sendall(head + b"Content-Length: %d\r\n\r\n" % len(FULL) + FULL)
                    time.sleep(0.05)
                    break
                if faults.flip_at is not None and request - len(data) <= faults.flip_at < request and proxy.strikes():
                    place = faults.flip_at - (request - len(data))
                    data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
                if faults.rate is not None:
                    time.sleep(len(data) / faults.rate)
            passed += len(data)
            if faults.drop_at is not None and passed > faults.drop_at and proxy.strikes():
                break
            if faults.stall_at is not None and passed > faults.stall_at and proxy.strikes():
                proxy.ended.wait()
                break
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
