"""A web server on loopback that serves files as good servers do, and fails as bad ones do when it is told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer.

    Args:
        status: this status in place of the file.
        retry_after: with this header.
        drop_after: only so many bytes of the body, then the connection ends.
        stall_after: so many bytes of the body, then nothing for as long as the server runs.
        ignore_range: the whole file, whatever part was asked for.
        shift: a part that begins so many bytes later than asked for.
    """

    status: int | None = None
    retry_after: str | None = None
    drop_after: int | None = None
    stall_after: int | None = None
    ignore_range: bool = False
    shift: int = 0


@dataclass
class Served:
    """One file; `faults` are used up, one an answer."""

    content: bytes = b""
    etag: str | None = '"1"'
    last_modified: str | None = None
    content_type: str | None = "application/octet-stream"
    length: int | None = None  # said in place of the true one
    chunked: bool = False
    redirect: str | None = None
    faults: list[Fault] = field(default_factory=list)


class FileServer:
    """What is served, what was asked for (paths and headers, in order), and where."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.address = ""
        self.ended = threading.Event()

    def ranges(self) -> list[str | None]:
        """The `Range` of every request."""
        return [headers.get("range") for _, headers in self.asked]


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A running server."""
    state = FileServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(state: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        server_state = state

    return Handler


class _Handler(BaseHTTPRequestHandler):
    server_state: FileServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        state = self.server_state
        state.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        served = state.files.get(self.path)
        if served is None:
            self._status(404)
            return
        fault = served.faults.pop(0) if served.faults else Fault()
        if fault.status is not None:
            self._status(fault.status, fault.retry_after)
            return
        if served.redirect is not None:
            self._redirect(served.redirect)
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # the client went away
            self._file(served, fault)

    def _status(self, status: int, retry_after: str | None = None) -> None:
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, served: Served, fault: Fault) -> None:
        size, offset = len(served.content), self._offset(served, fault)
        if offset is not None and offset >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = served.content[offset or 0 :]
        self.send_response(200 if offset is None else 206)
        if offset is not None:
            self.send_header("Content-Range", f"bytes {offset}-{size - 1}/{size}")
        for name, value in (
            ("ETag", served.etag),
            ("Last-Modified", served.last_modified),
            ("Content-Type", served.content_type),
        ):
            if value is not None:
                self.send_header(name, value)
        if served.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body) if served.length is None else served.length))
        self.end_headers()
        self._body(body, served, fault)

    def _offset(self, served: Served, fault: Fault) -> int | None:
        """Where the part begins that is asked for, or None for the whole file."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None or fault.ignore_range:
            return None
        if self.headers.get("If-Range") not in (None, served.etag, served.last_modified):
            return None
        return int(asked[1]) + fault.shift

    def _body(self, body: bytes, served: Served, fault: Fault) -> None:
        most = fault.drop_after if fault.stall_after is None else fault.stall_after
        kept = body if most is None else body[:most]
        step = max(1, len(body) // 10)
        for begin in range(0, len(kept), step):
            piece = kept[begin : begin + step]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if served.chunked else piece)
        if fault.stall_after is not None:
            self.server_state.ended.wait()
        if served.chunked and most is None:
            self.wfile.write(b"0\r\n\r\n")

    # One answer a connection, so that a body that is too short is an end.
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        self.send_header("Connection", "close")
        self.close_connection = True
        super().end_headers()
