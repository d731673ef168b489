"""What copies a run's checkpoints while it trains: ranks that agree, slow and dead stores, and processes that are killed."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from copied_checkpoints import MIB, PARTS, contents, make_checkpoint, store_at
from faulty_proxy import Faults
from launching import eventually
from neox_stores import copier, follower, leader
from neox_stores.copier import Task
from neox_stores.follower import Follower
from neox_stores.fsspec_store import FsspecStore
from neox_stores.leader import Leader
from plugin_distributions import NEOX
from s3_server import s3_server
from whole_matrix import in_whole

from neox_core.checkpoint import prune
from neox_core.checkpoint.remote import StoreError, StoreOptions, find_remote, pull, push
from neox_core.checkpoint.remote.places import is_complete


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    monkeypatch.setattr(copier, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(copier, "POLL", 0.02)
    monkeypatch.setattr(leader, "POLL", 0.02)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="neox")
    return lambda: [record.getMessage() for record in caplog.records]


class Gate(FsspecStore):
    """A store that takes a file only when it is let through."""

    def __init__(self, url: str) -> None:
        super().__init__(url, StoreOptions())
        self.arrived, self.opened = threading.Event(), threading.Event()

    def upload(self, name, source, stopped):
        self.arrived.set()
        while not self.opened.wait(0.01):
            if stopped():
                break
        return super().upload(name, source, stopped)


def task(tmp_path, url, rank=0, world_size=1, keep_last=None, open_store=None, run="run"):
    return Task(
        url=url,
        open_store=open_store or (lambda: store_at(url)),
        options=PARTS,
        directory=tmp_path,
        rank=rank,
        world_size=world_size,
        keep_last=keep_last,
        run=run,
    )


@contextmanager
def ranks(tmp_path, url, count, **how):
    """The copiers of all ranks of a run; they end together, as ranks do."""
    made = [(Follower if rank else Leader)(task(tmp_path, url, rank, count, **how)) for rank in range(count)]
    yield made
    ends = [threading.Thread(target=each.finish, args=(60.0,)) for each in made]
    for thread in ends:
        thread.start()
    for thread in ends:
        thread.join()


def is_there(url, path, tmp_path):
    """Whether a store has a complete checkpoint that comes back as it is here."""
    found = find_remote(store_at(url), int(path.name.removeprefix("global_step")))
    if found is None:
        return False
    target = tmp_path / "back" / path.name
    pull(found, target, PARTS)
    return contents(target) == contents(path)


def test_each_rank_copies_its_own_files_and_the_manifest_comes_last(bucket, tmp_path, said):
    url, path = f"{bucket}/mine", make_checkpoint(tmp_path, 4, 100_000, ranks=3)
    with ranks(tmp_path, url, 3) as (first, second, third):
        third.offer(path)
        first.offer(path)
        eventually(lambda: store_at(url).stat("global_step4/shards/rank-00000.safetensors") is not None)
        assert store_at(url).stat("global_step4/shards/rank-00001.safetensors") is None
        assert not is_complete(store_at(url), "global_step4")
        second.offer(path)
    assert is_there(url, path, tmp_path)
    assert f"s3_path: the newest copy is {url}/global_step4" in said()


def test_what_is_under_way_is_finished_and_the_newest_of_those_that_wait_is_next(tmp_path, said):
    url = f"file://{tmp_path}/store"
    gate, saved = Gate(url), [make_checkpoint(tmp_path / "save", iteration, 1000) for iteration in (2, 4, 6)]
    kept = {path.name: contents(path) for path in saved}
    one = Leader(task(tmp_path / "save", url, open_store=lambda: gate))
    one.offer(saved[0])
    assert gate.arrived.wait(10)
    for path in saved[1:]:
        one.offer(path)
    shutil.rmtree(tmp_path / "save")  # as retention may, and more
    gate.opened.set()
    one.finish(30)
    for name in ("global_step2", "global_step6"):
        found = contents(tmp_path / "store" / name)
        assert found == kept[name]
    assert not (tmp_path / "store/global_step4").exists()
    assert (tmp_path / "store/latest").read_text() == "global_step6\n"
    assert any("global_step4 is not copied: it was passed over for global_step6" in line for line in said())


def test_deleting_old_checkpoints_here_does_not_disturb_their_copies(tmp_path):
    url = f"file://{tmp_path}/store"
    gate, first = Gate(url), make_checkpoint(tmp_path / "save", 2, 1000)
    kept, one = contents(first), Leader(task(tmp_path / "save", url, open_store=lambda: gate))
    one.offer(first)
    assert gate.arrived.wait(10)
    second = make_checkpoint(tmp_path / "save", 4, 1000)
    assert prune(tmp_path / "save", 1) == [first]
    one.offer(second)
    gate.opened.set()
    one.finish(30)
    assert contents(tmp_path / "store/global_step2") == kept
    assert contents(tmp_path / "store/global_step4") == contents(second)


def test_the_end_of_a_run_waits_no_longer_than_it_may(tmp_path, said):
    url = f"file://{tmp_path}/store"
    gate, path = Gate(url), make_checkpoint(tmp_path / "save", 2, 1000)
    one = Leader(task(tmp_path / "save", url, open_store=lambda: gate))
    one.offer(path)
    began = time.monotonic()
    one.finish(0.5)
    assert 0.4 < time.monotonic() - began < 3
    assert not (tmp_path / "store/global_step2/manifest.json").exists()
    expected = (
        f"global_step2 is not complete there: it was not finished in time. Later: neox checkpoint push {path} {url}"
    )
    assert any(expected in line for line in said())
    again = Leader(task(tmp_path / "save", url))
    again.offer(path)
    again.finish(30)
    assert contents(tmp_path / "store/global_step2") == contents(path)


def test_a_signal_ends_the_waiting_at_the_end_of_a_run(tmp_path):
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    url = f"file://{tmp_path}/store"
    gate, path = Gate(url), make_checkpoint(tmp_path / "save", 2, 1000)
    one = Leader(task(tmp_path / "save", url, open_store=lambda: gate))
    one.offer(path)
    assert gate.arrived.wait(10)
    threading.Timer(0.3, signal.raise_signal, [signal.SIGTERM]).start()
    began = time.monotonic()
    one.finish(20)
    assert 0.2 < time.monotonic() - began < 5
    assert signal.signal(signal.SIGTERM, before) is not signal.SIG_DFL


def test_a_dead_store_is_told_once_and_not_waited_for(bucket, reach, tmp_path, said, monkeypatch):
    monkeypatch.setattr(copier, "HOPELESS", 1.0)
    reach(endpoint="http://127.0.0.1:9")
    url, path = f"{bucket}/mine", make_checkpoint(tmp_path, 2, 1000)
    before, one = contents(path), Leader(task(tmp_path, url))
    one.offer(path)
    began = time.monotonic()
    one.finish(60)
    assert time.monotonic() - began < 15
    assert contents(path) == before
    warnings = [line for line in said() if "cannot be reached" in line]
    assert 1 <= len(warnings) <= 3
    assert any(f"neox checkpoint push {path} {url}" in line for line in said())


def test_a_store_that_takes_small_files_alone_is_not_waited_for_either(tmp_path, monkeypatch):
    monkeypatch.setattr(copier, "HOPELESS", 1.0)
    monkeypatch.setattr(copier, "LONGEST_PAUSE", 0.1)
    url, path = f"file://{tmp_path}/store", make_checkpoint(tmp_path / "save", 2, 1000)
    store = store_at(url)

    def upload(name, source, stopped, upload=store.upload):
        if "shards" in name:
            raise StoreError("there is no room")
        return upload(name, source, stopped)

    monkeypatch.setattr(store, "upload", upload)
    one = Leader(task(tmp_path / "save", url, open_store=lambda: store))
    one.offer(path)
    began = time.monotonic()
    one.finish(10)
    assert time.monotonic() - began < 5


def test_older_copies_are_deleted_as_here(tmp_path):
    url = f"file://{tmp_path}/store"
    one = Leader(task(tmp_path / "save", url, keep_last=2))
    for iteration in (2, 4, 6):
        one.offer(make_checkpoint(tmp_path / "save", iteration, 100))
        eventually(lambda iteration=iteration: (tmp_path / f"store/global_step{iteration}/manifest.json").exists())
    one.finish(30)
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["global_step4", "global_step6", "latest"]


def test_where_another_run_has_later_checkpoints_nothing_is_copied(tmp_path, said):
    url = f"file://{tmp_path}/store"
    theirs = make_checkpoint(tmp_path / "theirs", 100, 100)
    push(theirs, store_at(url), PARTS)
    with ranks(tmp_path / "save", url, 2) as copiers:
        path = make_checkpoint(tmp_path / "save", 2, 100, ranks=2)
        for each in copiers:
            each.offer(path)
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["global_step100", "latest"]
    assert any("holds checkpoints later than iteration 2" in line for line in said())


def test_a_rank_that_is_slow_but_comes_further_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(leader, "PATIENCE", 0.6)
    monkeypatch.setattr(follower, "BEAT", 0.05)
    monkeypatch.setattr(follower, "POLL", 0.02)
    url, save = f"file://{tmp_path}/store", tmp_path / "save"
    slow = store_at(url)

    def upload(name, source, stopped, upload=slow.upload):
        for _ in range(20):
            time.sleep(0.1 if "shards" in name else 0)
            stopped()
        return upload(name, source, stopped)

    monkeypatch.setattr(slow, "upload", upload)
    first = Leader(task(save, url, 0, 2))
    second = Follower(task(save, url, 1, 2, open_store=lambda: slow))
    saved = [make_checkpoint(save, iteration, 100, ranks=2) for iteration in (2, 4)]
    for path in saved:
        for each in (first, second):
            each.offer(path)
        eventually(lambda: first._under_way == 2)
    eventually(lambda: is_complete(store_at(url), "global_step4"), 20)
    for each in (first, second):
        each.finish(5)
    assert is_complete(store_at(url), "global_step2")


def test_a_rank_does_not_go_on_with_what_rank_0_has_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(leader, "PATIENCE", 0.3)
    monkeypatch.setattr(follower, "BEAT", 0.05)
    url, save = f"file://{tmp_path}/store", tmp_path / "save"
    stuck, free = store_at(url), threading.Event()

    def upload(name, source, stopped, upload=stuck.upload):
        if name == "global_step2/shards/rank-00001.safetensors":
            assert free.wait(20)
        return upload(name, source, stopped)

    monkeypatch.setattr(stuck, "upload", upload)
    first, second = Leader(task(save, url, 0, 2)), Follower(task(save, url, 1, 2, open_store=lambda: stuck))
    for iteration in (2, 4):
        path = make_checkpoint(save, iteration, 100, ranks=2)
        for each in (first, second):
            each.offer(path)
        eventually(lambda iteration=iteration: first._under_way == iteration)
    free.set()
    eventually(lambda: is_complete(store_at(url), "global_step4"))
    for each in (first, second):
        each.finish(5)
    assert store_at(url).stat("global_step2/shards/rank-00001.safetensors") is None


def test_a_rank_that_cannot_open_a_checkpoint_says_so(tmp_path, said):
    url, save = f"file://{tmp_path}/store", tmp_path / "save"
    path = make_checkpoint(save, 2, 100, ranks=2)
    (path / "shards/rank-00001.safetensors").write_bytes(b"short")
    began = time.monotonic()
    with ranks(save, url, 2) as copiers:
        for each in copiers:
            each.offer(path)
    assert time.monotonic() - began < 20
    assert any("global_step2 is not copied: rank 1: " in line for line in said())


def test_a_rank_with_nothing_to_do_asks_less_and_less_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(follower, "POLL", 0.01)
    one, asked = Follower(task(tmp_path, f"file://{tmp_path}/store", 1, 2)), []
    monkeypatch.setattr(one._marks, "_read", lambda name: asked.append(name) or {})
    one.offer(make_checkpoint(tmp_path, 2, 100, ranks=2))
    time.sleep(0.8)
    one.finish(0)
    assert len(asked) < 40


def test_a_rank_that_has_let_go_of_a_checkpoint_says_so(tmp_path, said):
    url, save = f"file://{tmp_path}/store", tmp_path / "save"
    with ranks(save, url, 2) as (first, second):
        gone = make_checkpoint(save, 2, 100, ranks=2)
        first.offer(gone)
        eventually(lambda: (tmp_path / "store/global_step2/shards/rank-00000.safetensors").exists())
        eventually(lambda: first._marks.going == 2)
        shutil.rmtree(gone)
        path = make_checkpoint(save, 4, 100, ranks=2)
        second.offer(path)
        first.offer(path)
    assert contents(tmp_path / "store/global_step4") == contents(path)
    assert not (tmp_path / "store/global_step2/manifest.json").exists()
    assert any("global_step2 is not copied: rank 1: " in line for line in said())


def test_what_a_rank_cannot_send_is_told_by_rank_0(tmp_path, said):
    url, save = f"file://{tmp_path}/store", tmp_path / "save"
    path = make_checkpoint(save, 2, 100, ranks=2)
    (path / "shards/rank-00001.safetensors").write_bytes(b"x" * 100)
    with ranks(save, url, 2) as copiers:
        for each in copiers:
            each.offer(path)
    assert not (tmp_path / "store/global_step2/manifest.json").exists()
    assert any("global_step2 is not copied: rank 1: " in line and "is damaged" in line for line in said())


@pytest.mark.parametrize("size", [in_whole(40 * MIB)])  # the server takes twenty seconds to come back
def test_a_server_that_is_killed_and_comes_back_has_the_checkpoint_in_the_end(tmp_path, monkeypatch, said, size):
    with s3_server(tmp_path / "server") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        url, path = f"s3://{server.bucket_name}/mine", make_checkpoint(tmp_path / "save", 2, size)
        store, sent = store_at(url), []

        def upload_with_a_kill(name, source, stopped, upload=store.upload):
            def asked() -> bool:
                sent.append(name)
                if len(sent) == 4:
                    server.kill()
                return stopped()

            return upload(name, source, asked if source.size > MIB else stopped)

        monkeypatch.setattr(store, "upload", upload_with_a_kill)
        one = Leader(task(tmp_path / "save", url, open_store=lambda: store))
        one.offer(path)
        eventually(lambda: any("it is tried again" in line for line in said()), 30)
        assert contents(path)["settings.yml"] == b"num_layers: 2\n"
        server.start()
        one.finish(60)
        assert f"s3_path: the newest copy is {url}/global_step2" in said()
        assert is_there(url, path, tmp_path)


def test_an_upload_whose_process_is_killed_is_finished_by_the_next(bucket, server, proxy, tmp_path):
    path = make_checkpoint(tmp_path, 4, 30 * MIB)
    proxy.faults = Faults(rate=8e6)
    words = [NEOX, "checkpoint", "push", path, f"{bucket}/mine", "--part-size", str(5 * MIB), "--threads", "2"]
    process = subprocess.Popen(list(map(str, words)))
    client, at = server.client(), server.at(bucket)

    def arrived() -> int:
        uploads = client.list_multipart_uploads(Bucket=at["Bucket"], Prefix=at["Key"]).get("Uploads", [])
        names = [{"Bucket": at["Bucket"], "Key": each["Key"], "UploadId": each["UploadId"]} for each in uploads]
        found = [client.list_parts(**name).get("Parts", []) for name in names]
        return max(map(len, found), default=0)

    deadline = time.monotonic() + 60
    while arrived() < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    parts = arrived()
    assert 2 <= parts < 6
    assert find_remote(store_at(f"{bucket}/mine")) is None
    proxy.faults, proxy.sent = Faults(), 0
    store = store_at(f"{bucket}/mine")
    sent = push(path, store, PARTS)
    assert sent <= (6 - parts) * 5 * MIB
    assert proxy.sent < 30 * MIB, "not all of it again"
    assert is_there(f"{bucket}/mine", path, tmp_path)
