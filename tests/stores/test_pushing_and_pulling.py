"""Copying checkpoints to a real server of S3 and back, over networks that fail."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
from copied_checkpoints import MIB, PARTS, contents, make_checkpoint, store_at
from faulty_proxy import Faults
from neox_commands.checkpoint_away import problems_away
from s3_server import OWNER, READER
from whole_matrix import in_whole

from neox_core.checkpoint.remote import (
    Given,
    OpenCheckpoint,
    Push,
    RemoteCheckpoint,
    StoreError,
    find_remote,
    prune_remote,
    pull,
    push,
    remote_checkpoint,
)
from neox_core.checkpoint.remote.places import is_complete
from neox_core.errors import UserError
from neox_core.plugins import PluginManager


def back(store, tmp_path, iteration=4):
    """The files of a checkpoint that was copied here."""
    found = find_remote(store, iteration)
    assert found is not None
    path = tmp_path / "back" / found.folder
    pull(found, path, PARTS)
    return contents(path)


@pytest.mark.parametrize("size", [40 * MIB, in_whole(1024 * MIB)])
def test_a_checkpoint_comes_back_as_it_went(bucket, server, tmp_path, size):
    path = make_checkpoint(tmp_path, 4, size)
    store = store_at(f"{bucket}/runs/mine")
    assert push(path, store, PARTS) > size
    shard = f"{bucket}/runs/mine/global_step4/shards/rank-00000.safetensors"
    assert server.keys(f"{bucket}/runs/mine/global_step4")["shards/rank-00000.safetensors"] == size
    shard = server.client().head_object(**server.at(shard))
    assert shard["ETag"].strip('"').endswith(f"-{-(-size // (5 * MIB))}"), "it went in parts"
    assert back(store, tmp_path) == contents(path)
    assert push(path, store, PARTS) == 0


@pytest.mark.parametrize(
    "faults",
    [
        Faults(flip_at=3 * MIB, times=1),
        Faults(drop_at=2 * MIB, times=3),
        Faults(stall_at=2 * MIB, times=1),
    ],
    ids=["flipped", "dropped", "stalled"],
)
def test_what_a_network_spoils_is_sent_again(bucket, proxy, tmp_path, faults):
    path = make_checkpoint(tmp_path, 4, 12 * MIB)
    proxy.faults = faults
    store = store_at(f"{bucket}/mine")
    for _ in range(4):
        try:
            push(path, store, PARTS)
            break
        except StoreError as error:
            assert not error.lasting
            assert not is_complete(store, "global_step4")
    assert proxy.happened == faults.times
    proxy.faults = Faults()
    assert back(store, tmp_path) == contents(path)


def test_a_store_that_spoils_everything_never_has_a_complete_checkpoint(bucket, proxy, tmp_path):
    path = make_checkpoint(tmp_path, 4, 6 * MIB)
    proxy.faults = Faults(flip_at=3 * MIB)
    with pytest.raises(StoreError, match=f"{bucket}/mine/global_step4/shards/rank-00000.safetensors"):
        push(path, store_at(f"{bucket}/mine"), PARTS)
    assert proxy.happened > 1
    proxy.faults = Faults()
    assert not is_complete(store_at(f"{bucket}/mine"), "global_step4")
    push(path, store_at(f"{bucket}/mine"), PARTS)
    assert back(store_at(f"{bucket}/mine"), tmp_path) == contents(path)


def test_a_store_without_room_says_so(bucket, proxy, tmp_path):
    path = make_checkpoint(tmp_path, 4, MIB)
    proxy.faults = Faults(full=True)
    with pytest.raises(StoreError, match="the store has no room") as raised:
        push(path, store_at(f"{bucket}/mine"), PARTS)
    assert not raised.value.lasting
    proxy.faults = Faults()
    assert push(path, store_at(f"{bucket}/mine"), PARTS) > MIB


@pytest.mark.parametrize(
    ("how", "url", "sentence"),
    [
        ({"user": (OWNER[0], "another-secret")}, "{bucket}/mine", "the credentials are wrong, or"),
        ({"user": ("NOBODY", "another-secret")}, "{bucket}/mine", "the credentials are wrong, or"),
        ({"user": READER}, "{bucket}/mine", "the credentials do not allow to write"),
        ({}, "s3://no-such-bucket/mine", "there is no bucket 'no-such-bucket'"),
        ({"endpoint": "http://127.0.0.1:9"}, "{bucket}/mine", "the store cannot be reached"),
    ],
    ids=["wrong-secret", "unknown-key", "read-only", "no-bucket", "closed-port"],
)
def test_a_store_that_refuses_is_one_sentence_with_the_url(bucket, reach, tmp_path, how, url, sentence):
    path, url = make_checkpoint(tmp_path, 4, MIB), url.format(bucket=bucket)
    reach(**how)
    with pytest.raises(StoreError, match=sentence) as raised:
        push(path, store_at(url), PARTS)
    assert url in str(raised.value)
    assert "secret" not in str(raised.value).replace("AWS_SECRET_ACCESS_KEY", "")
    assert raised.value.lasting == ("endpoint" not in how)


def test_a_password_in_the_address_of_a_server_is_not_told(bucket, reach, tmp_path):
    reach(endpoint="http://me:hidden@127.0.0.1:9")
    with pytest.raises(StoreError, match="the store cannot be reached") as raised:
        push(make_checkpoint(tmp_path, 4, 10), store_at(f"{bucket}/mine"), PARTS)
    assert "hidden" not in str(raised.value)


def test_without_credentials_it_is_said_where_they_belong(bucket, reach, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match=r"there are no credentials for S3; .*AWS_ACCESS_KEY_ID"):
        push(make_checkpoint(tmp_path, 4, 10), store_at(f"{bucket}/mine"), PARTS)


def test_a_download_that_is_cut_short_goes_on_where_it_was(bucket, proxy, tmp_path, monkeypatch):
    monkeypatch.setattr("neox_core.checkpoint.remote.ranges.RANGE", 4 * MIB)
    path = make_checkpoint(tmp_path, 4, 40 * MIB)
    store, fetched = store_at(f"{bucket}/mine"), []
    push(path, store, PARTS)
    found = find_remote(store)

    def stop(size: int) -> None:
        fetched.append(size)
        if sum(fetched) > 20 * MIB:
            raise KeyboardInterrupt

    target = tmp_path / "back/global_step4"
    with pytest.raises(KeyboardInterrupt):
        pull(found, target, PARTS, tell=stop)
    assert not target.exists()
    again = []
    pull(found, target, PARTS, tell=again.append)
    assert contents(target) == contents(path)
    assert sum(again) < 40 * MIB
    assert [each.name for each in target.parent.iterdir()] == ["global_step4"]
    pull(found, target, PARTS, tell=pytest.fail)


def test_what_was_left_of_another_checkpoint_of_this_name_is_not_part_of_this_one(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr("neox_core.checkpoint.remote.ranges.RANGE", MIB)
    monkeypatch.setattr("neox_core.checkpoint.remote.pulling.RANGE", MIB)
    first, second = (make_checkpoint(tmp_path / name, 4, 4 * MIB, ranks=2) for name in ("first", "second"))
    for path in (first, second):
        push(path, store_at(f"{bucket}/{path.parent.name}"), PARTS)
    fetched, target = [], tmp_path / "back/global_step4"

    def stop(size: int) -> None:
        fetched.append(size)
        if sum(fetched) > 6 * MIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(find_remote(store_at(f"{bucket}/first")), target, PARTS, tell=stop)
    pull(find_remote(store_at(f"{bucket}/second")), target, PARTS)
    assert contents(target) == contents(second)
    assert [each.name for each in target.parent.iterdir()] == ["global_step4"]


def test_dropped_connections_do_not_end_a_download(bucket, proxy, tmp_path):
    path = make_checkpoint(tmp_path, 4, 12 * MIB)
    push(path, store_at(f"{bucket}/mine"), PARTS)
    proxy.faults = Faults(drop_at=5 * MIB, times=3)
    assert back(store_at(f"{bucket}/mine"), tmp_path) == contents(path)
    assert proxy.happened >= 2


def test_dropped_connections_are_no_damage(bucket, proxy, tmp_path):
    push(make_checkpoint(tmp_path, 4, 12 * MIB), store_at(f"{bucket}/mine"), PARTS)
    found = find_remote(store_at(f"{bucket}/mine"))
    assert found.manifest.size > 12 * MIB
    proxy.faults = Faults(drop_at=5 * MIB, times=2)
    assert [*problems_away(found)] == []
    assert proxy.happened == 2


def test_what_is_damaged_there_is_never_loaded(bucket, server, tmp_path):
    path = make_checkpoint(tmp_path, 4, MIB)
    store = store_at(f"{bucket}/mine")
    push(path, store, PARTS)
    name = server.at(f"{bucket}/mine/global_step4/shards/rank-00000.safetensors")
    content = bytearray((path / "shards/rank-00000.safetensors").read_bytes())
    content[1000] ^= 1
    server.client().put_object(**name, Body=bytes(content))
    with pytest.raises(UserError, match=r"shards/rank-00000.safetensors is damaged, there or on its way"):
        back(store, tmp_path)
    assert not (tmp_path / "back/global_step4").exists()
    server.client().delete_object(**name)
    with pytest.raises(UserError, match="found no file"):
        back(store, tmp_path)
    assert push(path, store, PARTS) == MIB, "what is missing is sent again"
    assert back(store, tmp_path) == contents(path)


def test_another_runs_checkpoint_is_not_replaced(bucket, tmp_path):
    store = store_at(f"{bucket}/mine")
    theirs = make_checkpoint(tmp_path / "theirs", 4, 1000)
    push(theirs, store, PARTS)
    with pytest.raises(StoreError, match="another checkpoint of this name lies there") as raised:
        push(make_checkpoint(tmp_path / "mine", 4, 1000), store, PARTS)
    assert raised.value.lasting
    assert back(store, tmp_path) == contents(theirs)


def test_files_that_another_run_has_written_over_do_not_become_complete(bucket, tmp_path):
    store = store_at(f"{bucket}/mine")
    mine, theirs = (make_checkpoint(tmp_path / name, 4, 1000) for name in ("mine", "theirs"))
    with OpenCheckpoint(mine) as one, OpenCheckpoint(theirs) as other:
        for each in (one, other):
            Push(store, each, PARTS).claim()
            Push(store, each, PARTS).files()
        with pytest.raises(StoreError, match=r"rank-00000\.safetensors: is not there as it was sent"):
            Push(store, one, PARTS).commit()
        assert not is_complete(store, "global_step4")
        Push(store, other, PARTS).commit()
    assert back(store, tmp_path) == contents(theirs)


def test_of_two_runs_that_copy_to_one_place_the_last_to_begin_completes_its_own(bucket, server, tmp_path):
    store = store_at(f"{bucket}/mine")
    mine, theirs = (make_checkpoint(tmp_path / name, 4, 1000) for name in ("mine", "theirs"))
    with OpenCheckpoint(mine) as one, OpenCheckpoint(theirs) as other:
        first, second = Push(store, one, PARTS), Push(store, other, PARTS)
        assert not first.check()
        assert not second.check()
        first.claim()
        first.files()
        second.claim()
        with pytest.raises(StoreError, match="another run copies a checkpoint of this name there") as raised:
            first.commit()
        assert raised.value.lasting
        second.files()
        second.commit()
        with pytest.raises(StoreError, match="another checkpoint of this name lies there"):
            first.claim()
    assert back(store, tmp_path) == contents(theirs)
    assert {*server.keys(f"{bucket}/mine/global_step4")} == {*contents(theirs)}


def test_the_same_checkpoint_may_be_copied_twice_at_once(bucket, tmp_path):
    store, path = store_at(f"{bucket}/mine"), make_checkpoint(tmp_path, 4, 1000)
    with OpenCheckpoint(path) as opened:
        pushes = [Push(store, opened, PARTS) for _ in range(2)]
        for work in (Push.claim, Push.files, Push.commit):
            for each in pushes:
                work(each)
    assert back(store, tmp_path) == contents(path)


def test_what_was_left_of_an_upload_of_other_content_is_neither_gone_on_with_nor_kept(bucket, server, tmp_path):
    store, asked = store_at(f"{bucket}/mine"), []
    before, path = (make_checkpoint(tmp_path / name, 4, 16 * MIB) for name in ("before", "now"))
    with OpenCheckpoint(before) as opened, pytest.raises(Given):
        Push(store, opened, PARTS, stopped=lambda: bool(asked.append(1)) or len(asked) > 7).files()
    at = server.at(bucket)
    client, where = server.client(), {"Bucket": at["Bucket"], "Prefix": at["Key"]}
    assert len(client.list_multipart_uploads(**where)["Uploads"]) == 1
    assert push(path, store, PARTS) < 17 * MIB
    assert back(store, tmp_path) == contents(path)
    assert "Uploads" not in client.list_multipart_uploads(**where)


def test_of_a_checkpoint_of_many_ranks_not_all_files_are_open_at_once(tmp_path):
    path, store = make_checkpoint(tmp_path / "here", 4, 10, ranks=200), store_at(f"file://{tmp_path}/store")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 300, before[1]))
    try:
        push(path, store, PARTS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert contents(tmp_path / "store/global_step4") == contents(path)


def test_a_checkpoint_that_goes_while_it_is_opened_is_one_sentence(tmp_path, monkeypatch):
    path = make_checkpoint(tmp_path, 4, 10)
    monkeypatch.setattr(
        "neox_core.checkpoint.remote.pushing.require_complete", lambda path: (path / "manifest.json").unlink()
    )
    with pytest.raises(UserError, match=r"manifest\.json cannot be read: No such file"):
        OpenCheckpoint(path)


def test_files_are_deleted_there_though_uploads_cannot_be(tmp_path, monkeypatch):
    store = store_at(f"file://{tmp_path}/store")
    for iteration in (2, 4):
        push(make_checkpoint(tmp_path / "here", iteration, 10), store, PARTS)

    def refuse(folder: str) -> None:
        raise StoreError("uploads are not listed", lasting=True)

    monkeypatch.setattr(store, "forget_uploads", refuse)
    with pytest.raises(StoreError, match="uploads are not listed"):
        prune_remote(store, 4, keep_last=1)
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["global_step4", "latest"]


def test_a_file_that_is_damaged_here_is_not_copied(bucket, tmp_path):
    path = make_checkpoint(tmp_path, 4, 12 * MIB)
    with (path / "shards/rank-00000.safetensors").open("r+b") as file:
        file.seek(11 * MIB)
        file.write(b"damage")
    store = store_at(f"{bucket}/mine")
    with pytest.raises(UserError, match="is damaged: its sha256 is not what was written; it is not copied"):
        push(path, store, PARTS)
    assert not is_complete(store, "global_step4")
    assert store.stat("global_step4/shards/rank-00000.safetensors") is None


def test_old_copies_are_deleted_and_neither_the_newest_nor_later_ones(bucket, server, tmp_path):
    store = store_at(f"{bucket}/mine")
    for iteration in (2, 4, 6, 8, 10):
        push(make_checkpoint(tmp_path, iteration, 100), store, PARTS)
    store.write("global_step5/state.json", b"an upload that was cut short")
    assert prune_remote(store, 8, keep_last=2) == ["global_step2", "global_step4", "global_step5"]
    left = {name.partition("/")[0] for name in server.keys(f"{bucket}/mine")}
    assert left == {"global_step6", "global_step8", "global_step10", "latest"}
    assert prune_remote(store, 8, keep_last=5) == []
    assert prune_remote(store, 8, keep_last=1) == ["global_step6"]


def test_what_has_the_name_of_another_step_is_not_counted_and_left_alone(tmp_path):
    store = store_at(f"file://{tmp_path}/store")
    for iteration in (2, 4, 8):
        push(make_checkpoint(tmp_path, iteration, 100), store, PARTS)
    (tmp_path / "store/global_step2").rename(tmp_path / "store/global_step6")
    shutil.copytree(tmp_path / "store/global_step4", tmp_path / "store/global_step9")
    assert prune_remote(store, 8, keep_last=2) == []
    assert prune_remote(store, 8, keep_last=1) == ["global_step4"]
    push(tmp_path / "global_step8", store, PARTS)
    assert (tmp_path / "store/latest").read_text() == "global_step8\n"
    left = {path.name for path in (tmp_path / "store").iterdir()}
    assert left == {"global_step6", "global_step8", "global_step9", "latest"}


def test_the_only_folder_with_checkpoints_is_meant_by_the_url_above_it(bucket, tmp_path):
    plugins = PluginManager()
    with pytest.raises(UserError, match="there is no complete checkpoint"):
        remote_checkpoint(bucket, plugins)
    for iteration in (2, 10):
        push(make_checkpoint(tmp_path, iteration, 100), store_at(f"{bucket}/one"), PARTS)
    assert remote_checkpoint(f"{bucket}/", plugins).url == f"{bucket}/one/global_step10"
    assert remote_checkpoint(bucket, plugins, iteration=2).url == f"{bucket}/one/global_step2"
    assert remote_checkpoint(f"{bucket}/one/global_step2", plugins).iteration == 2
    with pytest.raises(UserError, match="there is: global_step2, global_step10"):
        remote_checkpoint(bucket, plugins, iteration=3)
    push(tmp_path / "global_step2", store_at(f"{bucket}/two"), PARTS)
    with pytest.raises(
        UserError, match=f"several folders there hold checkpoints; name one: {bucket}/one, {bucket}/two"
    ):
        remote_checkpoint(bucket, plugins)


def test_a_manifest_that_names_files_elsewhere_is_not_followed(bucket, tmp_path):
    path = make_checkpoint(tmp_path, 4, 10)
    store = store_at(f"{bucket}/mine")
    push(path, store, PARTS)
    manifest = RemoteCheckpoint(store, "global_step4").manifest
    record = manifest.files["state.json"]
    type(manifest)(iteration=4, topology=manifest.topology, files={"../state.json": record}).write(path)
    store.write("global_step4/manifest.json", (path / "manifest.json").read_bytes())
    with pytest.raises(UserError, match=r"names the file '\.\./state\.json'"):
        back(store, tmp_path)
