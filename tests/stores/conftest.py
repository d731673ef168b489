"""One server of S3 for the tests that need one, and environments that reach it."""

from __future__ import annotations

import itertools

import pytest
from faulty_proxy import faulty_proxy
from s3_server import s3_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """It runs as long as the session."""
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def reach(server, monkeypatch):
    """`reach(user=..., endpoint=...)`: this process reaches it so from now on."""

    def set_environment(**how):
        for name, value in server.environment(**how).items():
            monkeypatch.setenv(name, value)

    set_environment()
    return set_environment


@pytest.fixture
def bucket(server, reach):
    """The URL of a place in a bucket where nothing is."""
    return f"s3://{server.bucket_name}/{next(_NUMBERS)}"


@pytest.fixture
def proxy(server, reach):
    """What stands between this process and the server."""
    with faulty_proxy(server.ports[3]) as running:
        reach(endpoint=running.endpoint)
        yield running
