"""Items with several files, into a data directory: what is missing is fetched, what is there is known."""

from __future__ import annotations

import hashlib
import json
import os
import random
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from file_server import Fault, Served, file_server

from neox_core.data.corpora import listings
from neox_core.data.corpora.downloaded import DownloadedCorpus
from neox_core.data.corpora.fetching import Place, fetch, held
from neox_core.data.corpora.items import Item, RemoteFile
from neox_core.data.corpora.records import State
from neox_core.data.corpora.retries import Retries
from neox_core.errors import UserError

CONTENTS = {f"{i:02}.jsonl": random.Random(i).randbytes(50_000 + i) for i in range(3)}
IMPATIENT = Retries(attempts=3, sleep=lambda seconds: None)


@pytest.fixture
def server():
    with file_server() as server:
        for name, content in CONTENTS.items():
            server.files[f"/{name}"] = Served(content)
        yield server


def item(server, *, unknown=(), **others):
    files = tuple(
        RemoteFile(name=name, bytes=len(content), digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
        if name not in unknown
        else RemoteFile(name=name, bytes=None, digest=None)
        for name, content in CONTENTS.items()
    )
    known = {
        "name": "some",
        "kind": "corpus",
        "summary": "Some",
        "licence": "none",
        "directory": "some",
        "files": files,
    }
    return Item(**known | {"base": [server.address]} | others)


def listing(server, **others):
    return item(server, files=(), listing=True, kind="weights", **others)


def place(data_dir, **others):
    return Place(data_dir=data_dir, retries=IMPATIENT, **others)


def states(found):
    return [file.state for file in found]


def test_all_files_are_fetched_and_the_second_time_none_is_asked_for(server, tmp_path):
    found = fetch(item(server), place(tmp_path))
    assert [file.path for file in found] == [tmp_path / "some" / name for name in CONTENTS]
    assert [file.path.read_bytes() for file in found] == list(CONTENTS.values())
    assert all(file.fetched and file.state is State.WHOLE for file in found)
    server.asked.clear()
    again = fetch(item(server), place(tmp_path))
    assert server.asked == []
    assert not any(file.fetched for file in again)


def test_only_what_is_missing_is_fetched(server, tmp_path):
    fetch(item(server), place(tmp_path))
    (tmp_path / "some" / "01.jsonl").unlink()
    server.asked.clear()
    found = fetch(item(server), place(tmp_path))
    assert [path for path, _ in server.asked] == ["/01.jsonl"]
    assert [file.fetched for file in found] == [False, True, False]


def test_file_that_came_by_another_way_is_known_by_its_digest(server, tmp_path):
    directory = tmp_path / "some"
    directory.mkdir()
    for name, content in CONTENTS.items():
        (directory / name).write_bytes(content)
    fetch(item(server), place(tmp_path))
    assert server.asked == []
    record = json.loads((directory / "00.jsonl.json").read_text())
    assert record["address"] is None
    assert record["sha256"] == hashlib.sha256(CONTENTS["00.jsonl"]).hexdigest()


def test_files_in_a_directory_that_nobody_may_write_to_are_used(server, tmp_path, monkeypatch):
    directory = tmp_path / "some"
    directory.mkdir()
    for name, content in CONTENTS.items():
        (directory / name).write_bytes(content)
    monkeypatch.setattr(os, "access", lambda path, mode: path != directory)  # root may write everywhere
    assert states(fetch(item(server), place(tmp_path))) == [State.WHOLE] * 3
    assert sorted(path.name for path in directory.iterdir()) == sorted(CONTENTS)


@pytest.mark.parametrize("recorded", [False, True])
def test_another_file_of_the_same_name_is_left_alone(server, tmp_path, recorded):
    path = tmp_path / "some" / "01.jsonl"
    if recorded:
        fetch(item(server), place(tmp_path))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"01\.jsonl is there, but is not what it must be .* --force"):
        fetch(item(server), place(tmp_path))
    assert path.read_bytes() == b"mine"
    fetch(item(server), place(tmp_path, force=True))
    assert path.read_bytes() == CONTENTS["01.jsonl"]


def test_file_without_digest_and_record_is_kept_and_said_to_be_unknown(server, tmp_path):
    some = item(server, unknown=["02.jsonl"])
    path = tmp_path / "some" / "02.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    found = fetch(some, place(tmp_path))
    assert states(found) == [State.WHOLE, State.WHOLE, State.UNKNOWN]
    assert path.read_bytes() == b"mine"
    assert DownloadedCorpus(some).files(tmp_path)[2] == path


def test_content_is_held_against_digest_or_record_when_asked(server, tmp_path):
    some = item(server, unknown=["02.jsonl"])
    assert states(held(some, place(tmp_path))) == [State.MISSING] * 3
    fetch(some, place(tmp_path))
    assert states(held(some, place(tmp_path), verify=True)) == [State.WHOLE] * 3
    for name in ("00.jsonl", "02.jsonl"):  # of the same size
        (tmp_path / "some" / name).write_bytes(bytes(len(CONTENTS[name])))
    assert states(held(some, place(tmp_path))) == [State.WHOLE] * 3
    assert states(held(some, place(tmp_path), verify=True)) == [State.DAMAGED, State.WHOLE, State.DAMAGED]


def test_interrupted_fetch_keeps_whole_files_and_the_beginning_of_the_next(server, tmp_path):
    server.files["/01.jsonl"].faults += [Fault(drop_after=20_000), *[Fault(drop_after=0)] * 5]
    with pytest.raises(UserError, match=r"some: 01\.jsonl cannot be fetched"):
        fetch(item(server), place(tmp_path))
    assert states(held(item(server), place(tmp_path))) == [State.WHOLE, State.PART, State.MISSING]
    server.asked.clear()
    server.files["/01.jsonl"].faults.clear()
    fetch(item(server), place(tmp_path))
    assert server.ranges() == ["bytes=20000-", None]


def test_what_is_gone_is_asked_for_once_and_the_error_says_what_to_take_instead(server, tmp_path):
    server.files["/00.jsonl"].faults += [Fault(status=503)] * 5
    gone = item(server, gone="Nobody serves it.", alternatives=["Take this: https://example.org"])
    with pytest.raises(UserError, match=r"503(?s:.*)Nobody serves it\.\nInstead: Take this: https://example\.org"):
        fetch(gone, place(tmp_path))
    assert len(server.asked) == 1
    server.files["/00.jsonl"].faults.clear()
    assert states(fetch(gone, place(tmp_path))) == [State.WHOLE] * 3


def test_disk_that_is_too_small_is_said_before_anything_is_fetched(server, tmp_path):
    large = RemoteFile(name="large", bytes=10**18, digest=None)
    with pytest.raises(UserError, match=r"1,000,000,000\.0 GB are to be fetched, but only .* are free"):
        fetch(item(server, files=(large,)), place(tmp_path / "not" / "there"))
    assert server.asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mirror(tmp_path_factory):
    """A data directory that Python's own web server serves, with index pages."""
    directory = tmp_path_factory.mktemp("mirror")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(directory))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield directory, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("directory", ["some", ""])
def test_data_directory_that_is_served_is_a_mirror(server, mirror, tmp_path, directory):
    served, address = mirror
    some = item(server, directory=directory)
    fetch(some, place(served))
    server.asked.clear()
    found = fetch(some, place(tmp_path, mirror=address))
    assert server.asked == []
    assert [file.path.read_bytes() for file in found] == list(CONTENTS.values())


def test_mirror_that_lacks_a_file_is_named(server, mirror, tmp_path):
    _, address = mirror
    with pytest.raises(UserError, match=f"no longer answers(?s:.*)The mirror {address} must have every file"):
        fetch(item(server), place(tmp_path, mirror=address))


def weights(directory):
    """A checkpoint's files, in two directories, one with a name that addresses must quote."""
    files = {"latest": b"global_step1", "global_step1/layer 00.pt": b"a" * 5000, "global_step1/more/b#1.pt": b"b"}
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (directory / "index.html.tmp").write_text("")
    return files


def test_files_that_a_server_lists_are_fetched(mirror, server, tmp_path):
    served, address = mirror
    files = weights(served / "a" / "b")
    some = listing(server, base=[f"{address}/nothing/", f"{address}/a/b/"])
    assert held(some, place(tmp_path)) == []
    found = fetch(some, place(tmp_path))
    assert {file.file.name: file.path.read_bytes() for file in found} == files
    assert states(held(some, place(tmp_path), verify=True)) == [State.WHOLE] * 3
    (tmp_path / "some" / "latest").unlink()
    assert State.MISSING in states(held(some, place(tmp_path)))
    assert [file.fetched for file in fetch(some, place(tmp_path))].count(True) == 1


def test_listing_of_a_mirror_has_no_records(mirror, server, tmp_path):
    served, address = mirror
    weights(served / "some")
    some = listing(server, base=[f"{address}/some/"])
    fetch(some, place(tmp_path / "first"))
    (served / "copy").mkdir()
    (tmp_path / "first" / "some").rename(served / "copy" / "some")
    found = fetch(some, place(tmp_path / "second", mirror=f"{address}/copy/"))
    assert len(found) == 3


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("<a href='?C=N;O=D'>Name</a><a href='../'>up</a><a href='https://example.org/x.pt'>x</a>", "lists no files"),
        ("<a href='%2e%2e/%2e%2e/evil'>x</a>", "lists a file that cannot be taken"),
        ("<a href='a%5Cb'>x</a>", "lists a file that cannot be taken"),
    ],
)
def test_listing_takes_only_files_below_its_address(server, tmp_path, page, sentence):
    server.files["/w/"] = Served(page.encode(), content_type="text/html")
    with pytest.raises(UserError, match=sentence):
        fetch(listing(server, base=[f"{server.address}w/"]), place(tmp_path))
    assert [path for path, _ in server.asked] == ["/w/"]


def test_directories_that_a_page_names_twice_are_asked_for_once(server, tmp_path):
    page = "<a href='/w/'>home</a><a href='/w/sub/'>icon</a><a href='/w/sub/'>sub</a><a href='/w/a.pt'>a</a>"
    server.files |= {name: Served(page.encode(), content_type="text/html") for name in ("/w/", "/w/sub/")}
    server.files["/w/a.pt"] = Served(b"a")
    found = fetch(listing(server, base=[f"{server.address}w/"]), place(tmp_path))
    assert [file.file.name for file in found] == ["a.pt"]
    assert [path for path, _ in server.asked] == ["/w/", "/w/sub/", "/w/a.pt"]


def test_listing_without_end_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(listings, "_MOST_PAGES", 3)
    for depth in range(1, 9):
        server.files["/w/" + "d/" * (depth - 1)] = Served(b"<a href='d/'>more</a>", content_type="text/html")
    with pytest.raises(UserError, match="lists more than 3 directories"):
        fetch(listing(server, base=[f"{server.address}w/"]), place(tmp_path))


def test_listing_that_is_busy_is_asked_again(server, tmp_path):
    server.files["/"] = Served(b"<a href='00.jsonl'>", content_type="text/html", faults=[Fault(status=503)])
    assert len(fetch(listing(server), place(tmp_path))) == 1


def test_downloaded_corpus_has_its_files_once_they_are_fetched(server, tmp_path):
    corpus = DownloadedCorpus(item(server))
    with pytest.raises(UserError, match=r"'some' is not ready: .*00\.jsonl is missing; run `neox data fetch some -d "):
        corpus.files(tmp_path)
    fetched = corpus.fetch(place(tmp_path))
    assert corpus.files(tmp_path) == fetched == [tmp_path / "some" / name for name in CONTENTS]


def test_corpus_without_files_is_fetched_at_once(tmp_path, server):
    empty = item(server, files=(), base=[])
    assert DownloadedCorpus(empty).fetch(place(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
