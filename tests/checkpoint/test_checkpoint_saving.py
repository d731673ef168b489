"""What a save leaves on disk, in which order, and how it fails."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from checkpoint_worlds import check_iteration, fork, fragments, in_threads, save_iteration, wait, whole
from safetensors import safe_open

from neox_core.checkpoint import Reader, SoloGroup, find, save
from neox_core.errors import UserError
from neox_core.parallel.shards import Fragment


def save_fragments(directory, fragments, group=None, iteration=1):
    return save(
        directory,
        iteration=iteration,
        fragments=fragments,
        state={},
        files={},
        random_state=None,
        group=group or SoloGroup(),
    )


def test_what_was_saved_can_be_read(tmp_path):
    path = save_iteration(tmp_path / "deep" / "save", 3)
    assert path == tmp_path / "deep" / "save" / "global_step3"
    check_iteration(path, 3)
    assert (tmp_path / "deep" / "save" / "latest").read_text().strip() == "global_step3"


def test_the_manifest_lists_every_file_with_its_size_and_digest(tmp_path):
    path = save_iteration(tmp_path, 1)
    listed = json.loads((path / "manifest.json").read_text())["files"]
    found = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert found == {*listed, "manifest.json"}
    for name, record in listed.items():
        content = (path / name).read_bytes()
        assert record == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert Reader(path).manifest.size == sum(record["size"] for record in listed.values())


def test_a_shard_is_a_safetensors_file_that_describes_itself(tmp_path):
    path = save_iteration(tmp_path, 1)
    with safe_open(path / "shards" / "rank-00000.safetensors", framework="pt") as shard:
        key = "exp_avg/embedding.weight[0:24]"
        assert shard.get_tensor(key).shape == (24,)
        assert json.loads(shard.metadata()[key]) == {
            "name": "embedding.weight",
            "role": "exp_avg",
            "range": [0, 24],
            "scalar": False,
            "dtype": "F32",
            "shape": [6, 4],
            "blocks": [[[[0, 6], [0, 4]], [[0, 6], [0, 4]]]],
        }
        assert set(shard.metadata()) == set(shard.keys())


def test_files_are_on_disk_before_their_names_and_the_manifest_is_last(tmp_path, monkeypatch):
    events = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor):
        events.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        real_fsync(descriptor)

    def replace(source, target):
        events.append(("rename", str(target)))
        assert ("sync", str(source)) in events
        return real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    path = save_iteration(tmp_path, 1)

    renames = [name for kind, name in events if kind == "rename"]
    assert renames[-2:] == [str(path / "manifest.json"), str(tmp_path / "latest")]
    for name in renames:
        after = events[events.index(("rename", name)) + 1]
        assert after == ("sync", str(Path(name).parent))
    assert events.index(("sync", str(tmp_path))) < events.index(("rename", str(path / "manifest.json")))


def test_an_interrupted_save_of_the_same_iteration_is_cleared_away(tmp_path):
    path = save_iteration(tmp_path, 1)
    (path / "manifest.json").unlink()
    (path / "shards" / "rank-00007.safetensors").write_bytes(b"left behind")
    (path / "chat_template.jinja").write_text("{{ messages }}")  # which goes along with some tokenizers
    check_iteration(save_iteration(tmp_path, 1), 1)
    assert not (path / "shards" / "rank-00007.safetensors").exists()
    assert not (path / "chat_template.jinja").exists()


def test_a_complete_checkpoint_of_the_same_iteration_is_kept_and_becomes_latest(tmp_path):
    path = save_iteration(tmp_path, 1)
    (tmp_path / "latest").unlink()
    before = (path / "manifest.json").stat()
    assert save_fragments(tmp_path, []) == path
    assert (path / "manifest.json").stat() == before
    assert (tmp_path / "latest").read_text().strip() == "global_step1"
    check_iteration(path, 1)


def test_saving_before_a_later_checkpoint_is_refused(tmp_path):
    save_iteration(tmp_path, 2)
    with pytest.raises(UserError, match=r"later than iteration 1, where this run is: global_step2"):
        save_iteration(tmp_path, 1)
    assert not (tmp_path / "global_step1").exists()


def test_a_checkpoint_of_gpt_neox_is_never_overwritten(tmp_path):
    foreign = tmp_path / "global_step1" / "mp_rank_00_model_states.pt"
    foreign.parent.mkdir()
    foreign.write_bytes(b"weights")
    with pytest.raises(UserError, match="was written by GPT-NeoX"):
        save_iteration(tmp_path, 1)
    assert foreign.read_bytes() == b"weights"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_values_of_every_type_survive_bit_by_bit(tmp_path, dtype):
    bits = torch.randint(0, 2, (24 * dtype.itemsize,), dtype=torch.uint8)
    tensor = bits.view(dtype)
    spec = whole("embedding.weight")
    path = save_fragments(tmp_path, [Fragment(spec, "weight", (0, 24), tensor)])
    assert torch.equal(Reader(path).read(spec, "weight", (0, 24)).view(torch.uint8), bits)


def test_mixed_types_views_scalars_and_nothing_share_a_shard(tmp_path):
    spec, base = whole("embedding.weight"), torch.arange(48.0)
    live = [
        Fragment(spec, "flag", (0, 1), torch.tensor(True), scalar=True),
        Fragment(spec, "weight", (0, 24), base.bfloat16()[::2]),
        Fragment(spec, "exp_avg", (0, 24), torch.nn.Parameter(base[24:])),
        Fragment(spec, "exp_avg", (24, 24), base[:0]),
    ]
    path = save_fragments(tmp_path, live)
    shard = (path / "shards" / "rank-00000.safetensors").read_bytes()
    header = json.loads(shard[8 : 8 + int.from_bytes(shard[:8], "little")])
    assert header["flag/embedding.weight[0:1]"]["data_offsets"] == [144, 145]  # after all that must be aligned
    assert len(shard) < 4000  # the view's base is not written
    reader = Reader(path)
    assert reader.read(spec, "flag", (0, 1)).tolist() == [True]
    assert torch.equal(reader.read(spec, "weight", (0, 24)), base[::2].bfloat16())
    assert torch.equal(reader.read(spec, "exp_avg", (0, 24)), base[24:])


def test_a_rank_without_fragments_writes_an_empty_shard(tmp_path):
    reader = Reader(save_fragments(tmp_path, []))
    assert reader.names == ()
    assert reader.random_state(0) is None


def test_a_fragment_shorter_than_its_range_is_not_saved(tmp_path):
    spec = whole("embedding.weight")
    with pytest.raises(ValueError, match=r"has 23 elements instead of 24"):
        save_fragments(tmp_path, [Fragment(spec, "weight", (0, 24), torch.zeros(23))])
    assert find(tmp_path) is None


def test_the_same_piece_twice_is_not_saved(tmp_path):
    fragment = Fragment(whole("embedding.weight"), "weight", (0, 24), torch.zeros(24))
    with pytest.raises(ValueError, match="twice"):
        save_fragments(tmp_path, [fragment, fragment])


@pytest.mark.parametrize("bad_rank", [0, 1, 2])
def test_a_failure_on_one_rank_is_a_failure_on_all(tmp_path, bad_rank):
    save_iteration(tmp_path, 1)

    def work(group):
        mine = fragments(2, group.rank, 3)
        if group.rank == bad_rank:
            mine.append(Fragment(whole("norm.weight"), "weight", (0, 9), torch.zeros(1)))
        return save_fragments(tmp_path, mine, group, iteration=2)

    outcomes = in_threads(3, work)
    for rank, outcome in enumerate(outcomes):
        if rank == bad_rank:
            assert isinstance(outcome, ValueError)
        else:
            assert isinstance(outcome, UserError)
            assert f"global_step2 failed on rank {bad_rank}: " in str(outcome)
    assert find(tmp_path) == tmp_path / "global_step1"
    assert not (tmp_path / "global_step2").exists()
    assert (tmp_path / "latest").read_text().strip() == "global_step1"


def test_values_that_are_not_plain_data_fail_on_every_rank(tmp_path):
    def work(group):
        return save(
            tmp_path, iteration=1, fragments=[], state={"bad": object()}, files={}, random_state=None, group=group
        )

    first, second = in_threads(2, work)
    assert isinstance(first, TypeError)
    assert "failed on rank 0" in str(second)
    assert find(tmp_path) is None


def test_what_is_complete_stays_when_only_latest_cannot_be_written(tmp_path):
    (tmp_path / "latest").mkdir()
    with pytest.raises(UserError, match="latest cannot be written"):
        save_iteration(tmp_path, 1)
    check_iteration(tmp_path / "global_step1", 1)


def test_hosts_that_do_not_share_the_directory_are_found_out(tmp_path):
    """Each rank saves below its own directory, as on two hosts without a shared file system."""
    first, second = in_threads(2, lambda group: save_iteration(tmp_path / f"host{group.rank}", 1, group))
    assert "rank-00001.safetensors was written, but rank 0 does not see it" in str(first)
    assert "shared file system" in str(second)
    assert find(tmp_path / "host0") is None


def test_a_file_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "save").write_text("not a directory")
    with pytest.raises(UserError, match=r"cannot be written: \[Errno 17\] File exists: '.*/save'"):
        save_iteration(tmp_path / "save", 1)


def save_large(directory, size):
    tensor = torch.zeros(size, dtype=torch.uint8)
    spec = whole("embedding.weight")
    save_fragments(directory, [Fragment(spec, "weight", (0, size), tensor)], iteration=2)


def test_a_write_that_fails_half_way_leaves_the_previous_checkpoint(tmp_path):
    save_iteration(tmp_path, 1)

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        with pytest.raises(UserError, match=r"rank-00000\.safetensors cannot be written: .*File too large"):
            save_large(tmp_path, 1 << 20)

    assert wait(fork(limited)) == 0
    assert find(tmp_path) == tmp_path / "global_step1"
    assert not (tmp_path / "global_step2").exists()


@pytest.fixture
def small_disk(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a full disk needs a small tmpfs, which only root can mount")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_leaves_the_previous_checkpoint_and_its_space(small_disk):
    save_iteration(small_disk, 1)
    with pytest.raises(UserError, match=r"cannot be written: .*No space left on device"):
        save_large(small_disk, 1 << 20)
    assert find(small_disk) == small_disk / "global_step1"
    check_iteration(save_iteration(small_disk, 2), 2)
