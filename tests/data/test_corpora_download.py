"""One file from a real server on loopback, which fails in all the ways that servers do."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import random
import re
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from file_server import Fault, Served, file_server
from hypothesis import given, settings, strategies as st

from neox_core.data.corpora import transfer
from neox_core.data.corpora.download import Download, Unavailable
from neox_core.data.corpora.items import RemoteFile
from neox_core.data.corpora.part_file import PartFile, Version
from neox_core.data.corpora.retries import Retries
from neox_core.errors import UserError

CONTENT = random.Random(7).randbytes(1_000_000)


@pytest.fixture(scope="module")
def server():
    with file_server() as server:
        yield server


@pytest.fixture
def serve(server):
    """`serve(faults, ...)` puts the file on the server, which forgets what it was asked before."""
    server.files.clear()
    server.asked.clear()

    def put(*faults, content=CONTENT, **others):
        served = server.files["/x.bin"] = Served(content, faults=list(faults), **others)
        return served

    put.server = server
    return put


class Notes:
    def __init__(self):
        self.advances, self.notices, self.waits = [], [], []

    def advance(self, name, done, total):
        self.advances.append((name, done, total))

    def notice(self, text):
        self.notices.append(text)


def known(content=CONTENT):
    return RemoteFile(name="x.bin", bytes=len(content), digest=f"sha256:{hashlib.sha256(content).hexdigest()}")


UNKNOWN = RemoteFile(name="x.bin", bytes="unknown", digest="unknown")


@pytest.fixture
def download(server, tmp_path):
    """`download(file, ...)` fetches it to tmp_path and returns the record; `download.notes` has what was told."""
    notes = Notes()

    def run(file, *more_addresses, attempts=3, names=("x.bin",)):
        addresses = [*(server.address + name for name in names), *more_addresses]
        retries = Retries(attempts=attempts, sleep=notes.waits.append)
        return Download(file, tmp_path / "x.bin", addresses, retries, notes).run()

    run.notes = notes
    return run


def left(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("file", [known(), UNKNOWN], ids=["known", "unknown"])
def test_file_gets_its_name_with_a_record(serve, download, tmp_path, file):
    serve(etag='"abc"', last_modified="Mon, 01 Jan 2024 00:00:00 GMT")
    record = download(file)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert left(tmp_path) == ["x.bin", "x.bin.json"]
    written = json.loads((tmp_path / "x.bin.json").read_text())
    assert written["sha256"] == record.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (written["bytes"], written["etag"]) == (len(CONTENT), '"abc"')
    assert written["address"] == f"{serve.server.address}x.bin"
    assert written["published"] == (str(file.digest) if file.digest else None)
    assert download.notes.advances[-1] == ("x.bin", len(CONTENT), len(CONTENT))


def test_md5_is_verified_where_it_is_what_was_published(serve, download, tmp_path):
    serve()
    md5 = hashlib.md5(CONTENT).hexdigest()
    record = download(RemoteFile(name="x.bin", bytes="unknown", digest=f"md5:{md5}"))
    assert record.sha256 == hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(UserError, match=f"md5 is {md5}, but must be {'0' * 32}"):
        download(RemoteFile(name="x.bin", bytes="unknown", digest=f"md5:{'0' * 32}"))


def test_file_without_content_is_a_file(serve, download, tmp_path):
    serve(content=b"")
    download(known(b""))
    assert (tmp_path / "x.bin").read_bytes() == b""
    assert left(tmp_path) == ["x.bin", "x.bin.json"]


@pytest.mark.parametrize("file", [known(), UNKNOWN], ids=["known", "unknown"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_lost_connection_is_gone_on_with(serve, download, tmp_path, file, chunked):
    serve(Fault(drop_after=400_000), Fault(drop_after=100_000), chunked=chunked)
    download(file)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    offsets = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in serve.server.ranges()[1:]]
    assert 0 < offsets[0] < offsets[1] < len(CONTENT)
    assert all(headers["if-range"] == '"1"' for _, headers in serve.server.asked[1:])
    assert "trying again in 1 s" in download.notes.notices[0]


def test_file_that_changed_meanwhile_starts_anew(serve, download, tmp_path):
    serve(Fault(drop_after=400_000))
    with pytest.raises(UserError):
        download(UNKNOWN, attempts=1)
    other = random.Random(8).randbytes(900_000)
    serve(content=other, etag='"2"')
    download(UNKNOWN)
    assert serve.server.ranges() == [None, "bytes=400000-"]
    assert (tmp_path / "x.bin").read_bytes() == other
    assert json.loads((tmp_path / "x.bin.json").read_text())["etag"] == '"2"'


def test_date_of_the_last_change_serves_where_there_is_no_strong_etag(serve, download, tmp_path):
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    serve(Fault(drop_after=400_000), etag='W/"1"', last_modified=date)
    download(UNKNOWN)
    assert serve.server.asked[1][1]["if-range"] == date
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_nothing_is_kept_of_what_cannot_be_known_again(serve, download, tmp_path):
    serve(Fault(drop_after=400_000), etag=None)
    download(UNKNOWN)
    assert serve.server.ranges() == [None, None]
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_other_address_goes_on_where_the_digest_is_known(serve, download, tmp_path):
    serve(Fault(drop_after=400_000))
    serve.server.files["/copy.bin"] = Served(CONTENT, etag='"other"')
    download(known(), attempts=1, names=("x.bin", "copy.bin"))
    assert serve.server.ranges() == [None, "bytes=400000-"]
    assert "if-range" not in serve.server.asked[1][1]
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert json.loads((tmp_path / "x.bin.json").read_text())["address"].endswith("copy.bin")


@pytest.mark.parametrize("fault", [Fault(ignore_range=True), Fault(shift=5)], ids=["whole file", "another part"])
def test_server_that_does_not_give_the_part_asked_for(serve, download, tmp_path, fault):
    serve(Fault(drop_after=400_000), fault)
    download(known())
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_part_that_is_longer_than_the_file_starts_anew(serve, download, tmp_path):
    serve(Fault(drop_after=400_000))
    with pytest.raises(UserError):
        download(UNKNOWN, attempts=1)
    serve(content=CONTENT[:1000])
    download(UNKNOWN)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT[:1000]


def test_part_that_was_damaged_starts_anew(serve, download, tmp_path):
    serve(Fault(drop_after=400_000))
    with pytest.raises(UserError):
        download(known(), attempts=1)
    part = tmp_path / "x.bin.part"
    part.write_bytes(b"?" * part.stat().st_size)
    download(known())
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert serve.server.ranges() == [None, "bytes=400000-", None]


def test_part_that_is_whole_is_not_asked_for_again(serve, download, tmp_path):
    serve(Fault(drop_after=400_000))
    with pytest.raises(UserError):
        download(known(), attempts=1)
    (tmp_path / "x.bin.part").write_bytes(CONTENT)
    download(known())
    assert len(serve.server.asked) == 1
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_connection_that_is_lost_at_the_same_byte_is_given_up(serve, download, tmp_path):
    serve(*[Fault(drop_after=400_000)] + [Fault(drop_after=0)] * 20)
    with pytest.raises(UserError, match=r"x\.bin: the connection ended after 400,000 of 1,000,000 bytes"):
        download(known())
    assert len(serve.server.asked) == 1 + 2  # what came counts as the first failure of three
    assert left(tmp_path) == ["x.bin.part", "x.bin.part.json"]
    serve()
    download(known())
    assert serve.server.ranges()[-1] == "bytes=400000-"
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_connection_that_is_lost_often_is_gone_on_with_as_long_as_something_comes(serve, download, tmp_path):
    serve(*[Fault(drop_after=120_000)] * 8)
    download(known(), attempts=2)
    assert len(serve.server.asked) == 9
    assert download.notes.waits == [1] * 8
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_file_of_another_size_is_refused_before_it_is_received(serve, download, tmp_path):
    serve(content=CONTENT[:-1])
    with pytest.raises(UserError, match="has a file of 999,999 bytes, which must have 1,000,000"):
        download(known())
    assert left(tmp_path) == []


def test_size_that_only_shows_at_the_end_is_refused_too(serve, download, tmp_path):
    serve(content=CONTENT + b"!", chunked=True)
    with pytest.raises(UserError, match="gave 1,000,001 bytes, but the file has 1,000,000"):
        download(known())
    assert left(tmp_path) == []


def test_length_that_a_server_says_wrongly_is_a_lost_connection(serve, download):
    serve(length=len(CONTENT) + 5)
    with pytest.raises(UserError, match="ended after 1,000,000 of 1,000,005 bytes"):
        download(UNKNOWN)


def test_other_content_is_refused(serve, download, tmp_path):
    wrong = bytes(len(CONTENT))
    serve(content=wrong)
    with pytest.raises(UserError, match="gave another file: its sha256 is") as caught:
        download(known())
    for content in (wrong, CONTENT):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert left(tmp_path) == []


def test_what_was_there_stays_until_the_end(serve, download, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"before")
    serve(content=bytes(len(CONTENT)))
    with pytest.raises(UserError):
        download(known())
    assert (tmp_path / "x.bin").read_bytes() == b"before"
    serve()
    download(known())
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "no longer answers (404 Not Found)"),
        (410, "no longer answers (410 Gone)"),
        (403, "refuses the file (403 Forbidden)"),
    ],
)
def test_refusals_are_not_repeated(serve, download, tmp_path, status, sentence):
    serve(Fault(status=status))
    with pytest.raises(Unavailable, match=re.escape(f"{serve.server.address}x.bin {sentence}")):
        download(known())
    assert len(serve.server.asked) == 1
    assert left(tmp_path) == []


def test_next_address_is_asked_after_a_refusal(serve, download, tmp_path):
    serve()
    download(known(), names=("missing", "x.bin"))
    assert [path for path, _ in serve.server.asked] == ["/missing", "/x.bin"]
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_server_that_is_busy_is_asked_again_with_growing_waits(serve, download, tmp_path):
    serve(Fault(status=503), Fault(status=500), Fault(status=429, retry_after="7"))
    download(known(), attempts=5)
    assert download.notes.waits == [1, 2, 7]
    assert "the server says 503 Service Unavailable; trying again in 1 s" in download.notes.notices[0]
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_server_that_stays_busy_is_given_up(serve, download):
    serve(*[Fault(status=503)] * 9)
    with pytest.raises(UserError, match="the server says 503"):
        download(known(), attempts=4)
    assert len(serve.server.asked) == 4
    assert download.notes.waits == [1, 2, 4]


def test_redirections_are_followed(serve, download, tmp_path):
    serve(Fault(drop_after=400_000))
    serve.server.files["/old.bin"] = Served(redirect="/x.bin")
    download(known(), names=("old.bin",))
    assert [path for path, _ in serve.server.asked] == ["/old.bin", "/x.bin"] * 2
    assert serve.server.ranges()[-1] == "bytes=400000-"
    assert (tmp_path / "x.bin").read_bytes() == CONTENT


def test_redirection_in_a_circle_is_refused(serve, download):
    serve(redirect="/x.bin")
    with pytest.raises(UserError, match="refuses the file"):
        download(known())


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream", None])
def test_web_page_in_place_of_a_file_is_refused(serve, download, tmp_path, content_type):
    serve(content=b"\n<!DOCTYPE html><html>Log in</html>", content_type=content_type)
    with pytest.raises(UserError, match="gives a web page in place of the file"):
        download(UNKNOWN)
    assert left(tmp_path) == []


def test_web_page_is_not_received_even_where_the_digest_would_tell(serve, download):
    serve(content=bytes(len(CONTENT)), content_type="text/html")
    with pytest.raises(UserError, match="gives a web page in place of the file"):
        download(known())


def test_nobody_at_the_address_is_tried_again(download):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/x.bin"
        with pytest.raises(UserError, match="Connection refused"):
            download(known(), address, names=())
    assert len(download.notes.waits) == 2


def test_name_without_a_server_is_not(download):
    with pytest.raises(UserError, match=r"knows no server of that name|connection was lost"):
        download(known(), "http://nobody.invalid/x.bin", names=(), attempts=1)


def test_server_that_says_nothing_more_is_a_lost_connection(serve, download, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.2)
    serve(Fault(stall_after=1000))
    with pytest.raises(UserError, match="nothing came for 0 seconds"):
        download(known(), attempts=1)


def test_second_process_is_refused(serve, download, tmp_path):
    serve()
    with PartFile(tmp_path / "x.bin"), pytest.raises(UserError, match="is being fetched by another process"):
        download(known())
    download(known())


def test_file_that_another_process_publishes_at_that_moment_is_left_alone(tmp_path, monkeypatch):
    path, part_path = tmp_path / "x.bin", tmp_path / "x.bin.part"
    part_path.write_bytes(b"whole")
    flock = fcntl.flock

    def publish_first(*arguments):
        if not path.exists():
            part_path.rename(path)
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", publish_first)
    with PartFile(path) as part:
        assert part.size == 0
        part.begin(Version("http://example.org/x.bin"))
        part.append(b"new")
    assert path.read_bytes() == b"whole"
    assert part_path.read_bytes() == b"new"


def test_file_system_without_locks_will_do(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with PartFile(tmp_path / "x.bin") as part:
        part.append(b"x")
    assert (tmp_path / "x.bin.part").read_bytes() == b"x"


def test_full_disk_says_how_to_go_on(tmp_path):
    with PartFile(tmp_path / "x.bin") as part, Path("/dev/full").open("wb", buffering=0) as full:
        real, part._stream = part._stream, full
        try:
            with pytest.raises(UserError, match=r"the disk is full .* run the same command again"):
                part.append(b"x")
        finally:
            part._stream = real


def test_directory_that_cannot_be_is_a_sentence(download, serve, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*another data directory"):
        Download(known(), tmp_path / "file" / "x.bin", ["http://127.0.0.1:1/"]).run()


FAULTS = st.one_of(
    st.builds(Fault, drop_after=st.integers(0, 3000)),
    st.builds(Fault, status=st.sampled_from([500, 503, 429])),
    st.builds(Fault, ignore_range=st.booleans(), drop_after=st.none() | st.integers(0, 3000)),
    st.builds(Fault, shift=st.integers(1, 50)),
)


@settings(max_examples=60)
@given(
    faults=st.lists(FAULTS, max_size=8),
    size=st.integers(0, 3000),
    etag=st.sampled_from(['"1"', 'W/"1"', None]),
    digest=st.booleans(),
    chunked=st.booleans(),
)
def test_any_faults_give_the_same_bytes(server, faults, size, etag, digest, chunked):
    content = CONTENT[:size]
    server.files["/x.bin"] = Served(content, etag=etag, chunked=chunked, faults=list(faults))
    with TemporaryDirectory() as directory:
        path = Path(directory) / "x.bin"
        retries = Retries(attempts=20, sleep=lambda seconds: None)
        file = known(content) if digest else UNKNOWN
        Download(file, path, [server.address + "x.bin"], retries).run()
        assert path.read_bytes() == content
        assert left(Path(directory)) == ["x.bin", "x.bin.json"]
