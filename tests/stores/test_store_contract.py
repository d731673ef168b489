"""What every store does alike: S3, and file systems of fsspec."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from copied_checkpoints import MIB, PARTS, store_at

from neox_core.checkpoint.remote import Given, SourceFile, StoreError, StoreOptions, checked, home_of, is_url
from neox_core.errors import UserError
from neox_core.files import FileRecord
from neox_core.plugins import PluginManager, Switches
from neox_core.training.initial import complete_checkpoint


@pytest.fixture(params=["file", "memory", "s3"])
def store(request, tmp_path):
    """An empty one."""
    match request.param:
        case "file":
            return store_at(f"file://{tmp_path}/store")
        case "memory":
            return store_at(f"memory://{tmp_path.name}")
        case _:
            return store_at(f"{request.getfixturevalue('bucket')}/store")


def source(tmp_path, size, name="file"):
    content = os.urandom(size)
    (tmp_path / name).write_bytes(content)
    return SourceFile(tmp_path / name, FileRecord(size, hashlib.sha256(content).hexdigest())), content


def read(store, name):
    found = store.stat(name)
    return None if found is None else b"".join(store.read(name, 0, found.size))


def test_what_is_written_is_found_and_read(store):
    assert (store.folders(), [*store.list("a")], store.stat("a/b")) == ([], [], None)
    store.write("a/b", b"0123456789")
    store.write("a/c/d", b"")
    store.write("ab/e", b"e")
    store.write("top", b"t")
    assert sorted(store.folders()) == ["a", "ab"]
    assert store.folders("a") == ["c"]
    assert sorted((each.name, each.size) for each in store.list("a")) == [("a/b", 10), ("a/c/d", 0)]
    assert b"".join(store.read("a/b", 2, 5)) == b"234"
    assert b"".join(store.read("a/b", 4, 4)) == b""
    store.write("a/b", b"other")
    assert read(store, "a/b") == b"other"
    store.delete("a/b")
    store.delete("a/b")
    assert store.stat("a/b") is None


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 11 * MIB + 1])
def test_a_file_arrives_as_it_is(store, tmp_path, size):
    file, content = source(tmp_path, size)
    with file:
        assert store.upload("x/file", file, lambda: False) == size
    assert read(store, "x/file") == content
    assert [(each.name, each.size) for each in store.list("x")] == [("x/file", size)]


def test_an_upload_that_is_given_up_leaves_no_object(store, tmp_path):
    file, content = source(tmp_path, 16 * MIB)
    asked = []
    with file:
        with pytest.raises(Given):
            store.upload("x/file", file, lambda: bool(asked.append(1)) or len(asked) > 2)
        assert store.stat("x/file") is None
        assert [*store.list("x")] == []
        store.upload("x/file", file, lambda: False)
    assert read(store, "x/file") == content


def test_what_uploads_have_left_can_be_removed(store, tmp_path):
    file, content = source(tmp_path, 16 * MIB)
    asked = []
    with file:
        with pytest.raises(Given):
            store.upload("x/file", file, lambda: bool(asked.append(1)) or len(asked) > 2)
        store.forget_uploads("x")
        store.forget_uploads("nothing")
        assert store.upload("x/file", file, lambda: False) == 16 * MIB, "all of it is sent again"
    assert read(store, "x/file") == content


def test_an_object_of_other_content_is_replaced(store, tmp_path):
    for number in range(2):
        file, content = source(tmp_path, 1000, f"file{number}")
        with file:
            assert store.upload("x", file, lambda: False) == 1000
        assert read(store, "x") == content


def test_an_unfinished_upload_of_other_content_is_not_gone_on_with(store, tmp_path):
    asked = []
    first, _ = source(tmp_path, 16 * MIB, "first")
    with first, pytest.raises(Given):
        store.upload("x", first, lambda: bool(asked.append(1)) or len(asked) > 2)
    second, content = source(tmp_path, 16 * MIB, "second")
    with second:
        for _ in range(2):  # what bears another digest is removed, and sent again
            try:
                store.upload("x", second, lambda: False)
                break
            except StoreError as error:
                assert not error.lasting
    assert read(store, "x") == content


def test_several_threads_may_use_it(store, tmp_path):
    failed = []

    def work(number):
        try:
            store.write(f"x/{number}", bytes([number]) * 100)
            assert read(store, f"x/{number}") == bytes([number]) * 100
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len([*store.list("x")]) == 8


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("s3://b/p", True), ("file:///x", True), ("memory://x", True), ("a/b", False), ("C:/x", False), ("a:b", False)],
)
def test_urls_are_told_from_paths(text, is_one):
    assert is_url(text) == is_one


@pytest.mark.parametrize(
    "url", ["s3://", "s3://b//p", "s3://key:hidden@b/p", "ftp://me:hidden@h/p", "az://b/p?sig=hidden", "s3://key@b"]
)
def test_urls_that_name_nothing_or_hold_secrets_are_refused(url):
    with pytest.raises(UserError) as raised:
        checked(url)
    assert "hidden" not in str(raised.value)
    assert "key" not in str(raised.value).replace("AWS_ACCESS_KEY", "")


def test_a_url_loses_the_stroke_at_its_end():
    assert checked("S3://Bucket/Prefix//") == "s3://Bucket/Prefix"


def test_without_its_plugin_it_is_said_that_nothing_takes_a_url(tmp_path):
    from neox_core.checkpoint.remote import open_store

    with pytest.raises(UserError, match="no plugin offers a store for s3://"):
        open_store("s3://b/p", PluginManager(Switches(disable={"store.s3": "x", "store.fsspec": "x"})))


def test_a_directory_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=f"file://{tmp_path}/file/store/x: the store failed to write"):
        store_at(f"file://{tmp_path}/file/store", StoreOptions()).write("x", b"")


def test_a_disk_that_is_not_mounted_is_not_an_empty_store(tmp_path):
    store = store_at(f"file://{tmp_path}/disk/copies", StoreOptions())
    for use in (store.folders, lambda: store.write("x", b"")):
        with pytest.raises(
            StoreError, match=f"there is no directory {tmp_path}/disk; mount the disk that has it, or make it"
        ):
            use()
    assert not (tmp_path / "disk").exists()
    (tmp_path / "disk").mkdir()
    assert store.folders() == []


@pytest.mark.parametrize("size", [100, 20 * MIB])
def test_a_full_disk_is_called_one_and_nothing_unfinished_stays_on_it(tmp_path, size):
    unfinished = tmp_path / "store/x/file.unfinished"
    unfinished.parent.mkdir(parents=True)
    unfinished.symlink_to("/dev/full")
    file, _ = source(tmp_path, size)
    with pytest.raises(StoreError, match=r"x/file: .*is full: free space, or choose another place$") as refused:
        store_at(f"file://{tmp_path}/store").upload("x/file", file, lambda: False)
    assert not refused.value.lasting, "somebody may free space"
    assert list(unfinished.parent.iterdir()) == []


def test_in_a_directory_files_are_on_the_disk_before_the_next_is_written(tmp_path, monkeypatch):
    synced = []

    def fsync(descriptor: int, fsync=os.fsync) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path).as_posix())
        fsync(descriptor)

    store = store_at(f"file://{tmp_path}")
    store.write("x/before", b"")
    monkeypatch.setattr(os, "fsync", fsync)
    store.write("x/file", b"content")
    assert synced == ["x/file.unfinished", "x"]


def test_what_a_file_system_keeps_wrong_is_removed(tmp_path, monkeypatch):
    store = store_at(f"file://{tmp_path}/store", PARTS)
    monkeypatch.setattr(store, "read", lambda name, start, stop: iter([b"x" * (stop - start)]))
    file, _ = source(tmp_path, 100)
    with file, pytest.raises(StoreError, match="what the store keeps is not what was sent; it was removed there"):
        store.upload("x", file, lambda: False)
    assert store.stat("x") is None


@pytest.mark.parametrize("save", ["mine", "runs/mine/", "/data/mine", "mine/.", "other/../mine"])
def test_a_run_has_its_copies_in_a_folder_named_like_where_it_saves(save):
    assert home_of("s3://b/runs/", save) == "s3://b/runs/mine"


def test_verbs_that_need_a_directory_say_how_to_have_it():
    with pytest.raises(UserError, match="copy it here by `neox checkpoint pull s3://b/p DIR` first"):
        complete_checkpoint(Path("s3://b/p"))
