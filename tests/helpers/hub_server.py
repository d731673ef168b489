"""A hub on loopback: as much of the interface of huggingface.co as an upload by huggingface_hub uses, with git's large files."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_test"
SMALL = 1000
"""Files of so many bytes, and larger ones, go the way of large files."""


@dataclass
class Hub:
    """What was uploaded: files by "OWNER/NAME@BRANCH" and path; who asked, and how often."""

    address: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    large: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A running hub, which lets in whoever has the token."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
            return
        match self.path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "models", owner, name, "branch", branch]:
                self.state.repositories.setdefault(f"{owner}/{name}@{branch}", {})
                self._answer(201, {})
            case ["api", "models", _, _, "preupload", _]:
                files = json.loads(body)["files"]
                modes = [{"path": f["path"], "uploadMode": "lfs" if f["size"] >= SMALL else "regular"} for f in files]
                self._answer(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})
            case [_, _, "info", "lfs", "objects", "batch"]:
                self._batch(json.loads(body))
            case ["api", "models", owner, name, "commit", branch]:
                self._commit(f"{owner}/{name}", branch, body)
            case _:
                self._answer(404, {"error": f"there is no {self.path}"})

    def do_GET(self) -> None:
        name = self.path.removeprefix("/api/models/").partition("?")[0]
        if f"{name}@main" in self.state.repositories:
            self._answer(200, {"id": name, "private": name in self.state.private})
        else:
            self._answer(404, {"error": f"there is no {self.path}"})

    def do_PUT(self) -> None:
        content = self._body()
        oid = self.path.rsplit("/", 1)[1]
        if hashlib.sha256(content).hexdigest() != oid:
            self._answer(400, {"error": "another digest"})
            return
        self.state.large[oid] = content
        self._answer(200, {})

    def _create(self, asked: dict) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        there = f"{name}@main" in self.state.repositories
        self.state.repositories.setdefault(f"{name}@main", {})
        if not there and (asked.get("private") or asked.get("visibility") == "private"):
            self.state.private.add(name)
        self._answer(409 if there else 200, {"url": f"{self.state.address}/{name}", "name": name})

    def _batch(self, asked: dict) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.state.address}/large/{one['oid']}"}}}
            for one in asked["objects"]
        ]
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name: str, branch: str, body: bytes) -> None:
        files = self.state.repositories[f"{name}@{branch}"]
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            match line["key"]:
                case "header":
                    self.state.messages.append(value["summary"])
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.state.large[value["oid"]]
        self._answer(200, {"commitUrl": f"{self.state.address}/{name}/commit/{'1' * 40}", "commitOid": "1" * 40})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
