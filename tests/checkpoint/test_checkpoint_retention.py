"""Which checkpoints are deleted, and which never are."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path

import pytest
from checkpoint_worlds import check_iteration, save_iteration
from hypothesis import given, settings, strategies as st

from neox_core.checkpoint import Manifest, find, prune
from neox_core.config import Topology
from neox_core.errors import UserError


def names(directory):
    return {path.name for path in directory.iterdir()}


def test_the_oldest_by_number_go_first(tmp_path):
    for iteration in (2, 9, 10, 11):
        save_iteration(tmp_path, iteration)
    assert prune(tmp_path, 2) == [tmp_path / "global_step2", tmp_path / "global_step9"]
    assert names(tmp_path) == {"global_step10", "global_step11", "latest"}
    check_iteration(tmp_path / "global_step11", 11)


@pytest.mark.parametrize("keep_last", [1, 0, -5])
def test_the_newest_complete_one_stays(tmp_path, keep_last):
    for iteration in (1, 2):
        save_iteration(tmp_path, iteration)
    assert prune(tmp_path, keep_last) == [tmp_path / "global_step1"]
    check_iteration(tmp_path / "global_step2", 2)


def test_nothing_is_deleted_where_nothing_is_complete(tmp_path):
    (tmp_path / "global_step1" / "shards").mkdir(parents=True)
    assert prune(tmp_path, 1) == []
    assert prune(tmp_path / "absent", 1) == []
    assert names(tmp_path) == {"global_step1"}


def test_what_gpt_neox_or_somebody_else_put_there_stays(tmp_path):
    theirs = ["global_step1", "notes", "global_step01"]
    for name in theirs:
        (tmp_path / name).mkdir()
    (tmp_path / "global_step1" / "mp_rank_00_model_states.pt").write_bytes(b"weights")
    for iteration in (2, 3):
        save_iteration(tmp_path, iteration)
    assert prune(tmp_path, 1) == [tmp_path / "global_step2"]
    assert names(tmp_path) == {*theirs, "global_step3", "latest"}


@settings(max_examples=30)
@given(
    complete=st.sets(st.integers(0, 30), max_size=5),
    interrupted=st.sets(st.integers(0, 30), max_size=4),
    keep_last=st.integers(1, 6),
)
def test_pruning_keeps_the_newest_and_what_may_be_under_way(complete, interrupted, keep_last):
    interrupted -= complete
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for iteration in sorted(complete):
            path = directory / f"global_step{iteration}"
            path.mkdir()
            Manifest(iteration=iteration, topology=Topology(), files={}).write(path)
        for iteration in interrupted:
            (directory / f"global_step{iteration}").mkdir()
        before = find(directory)
        removed = prune(directory, keep_last)
        assert find(directory) == before

        kept = set(sorted(complete)[-keep_last:])
        underway = {iteration for iteration in interrupted if iteration > max(complete, default=-1)}
        left = {int(path.name.removeprefix("global_step")) for path in directory.glob("global_step*")}
        assert left == kept | underway
        assert [path.name for path in removed] == [
            f"global_step{iteration}" for iteration in sorted((complete | interrupted) - left)
        ]
        assert prune(directory, keep_last) == []


def test_what_killed_processes_left_beside_latest_is_cleared_away(tmp_path):
    save_iteration(tmp_path, 1)
    (tmp_path / ".latest.123.tmp").write_text("glob")
    prune(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["global_step1", "latest"]


def test_an_exported_model_that_is_called_like_a_checkpoint_stays_and_is_none(tmp_path):
    theirs = tmp_path / "global_step1"
    theirs.mkdir()
    for name in ("config.json", "model.safetensors"):
        (theirs / name).write_text("{}")
    with pytest.raises(UserError, match="global_step1 is not a checkpoint that neox saved"):
        find(tmp_path)
    with pytest.raises(UserError, match="global_step1 is not a checkpoint that neox saved"):
        save_iteration(tmp_path, 1)
    for iteration in (2, 3):
        save_iteration(tmp_path, iteration)
    assert prune(tmp_path, 1) == [tmp_path / "global_step2"]
    assert names(theirs) == {"config.json", "model.safetensors"}


def test_of_a_link_to_a_checkpoint_elsewhere_the_link_goes(tmp_path):
    elsewhere = save_iteration(tmp_path / "elsewhere", 1)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/global_step1").symlink_to(elsewhere)
    save_iteration(tmp_path / "saved", 2)
    assert prune(tmp_path / "saved", 1) == [tmp_path / "saved/global_step1"]
    assert names(tmp_path / "saved") == {"global_step2", "latest"}
    check_iteration(elsewhere, 1)


def test_one_that_cannot_be_deleted_keeps_no_other(tmp_path, monkeypatch):
    for iteration in (1, 2, 3):
        save_iteration(tmp_path, iteration)
    rmtree = shutil.rmtree

    def refusing(path):
        if path.name == "global_step1":
            raise OSError(errno.ENOTEMPTY, "Directory not empty")  # as NFS does while somebody reads a file there
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", refusing)
    with pytest.raises(UserError, match=r"global_step1 cannot be removed: .*Directory not empty"):
        prune(tmp_path, 1)
    assert names(tmp_path) == {"global_step1", "global_step3", "latest"}
    monkeypatch.undo()
    assert prune(tmp_path, 1) == [tmp_path / "global_step1"]
