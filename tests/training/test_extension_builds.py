"""A build of an extension that was killed keeps nobody waiting, and two processes do not build at once."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from torch.utils.file_baton import FileBaton

from neox_core.training.extensions import built_by_one


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    return tmp_path / "thing"


def test_the_lock_of_a_build_that_was_killed_is_removed(directory):
    directory.mkdir()
    assert FileBaton(str(directory / "lock")).try_acquire()
    with built_by_one("thing"):
        assert FileBaton(str(directory / "lock")).try_acquire()


def hold(entered, leave):
    with built_by_one("thing"):
        Path("inside").touch()
        entered.set()
        leave.wait(30)
        Path("inside").unlink()


def test_a_second_process_waits_and_one_that_is_killed_lets_it_in(directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spawn = multiprocessing.get_context("spawn")
    entered, leave = spawn.Event(), spawn.Event()
    first = spawn.Process(target=hold, args=(entered, leave))
    first.start()
    assert entered.wait(60)
    leave.set()
    with built_by_one("thing"):
        assert not Path("inside").exists()
    first.join()
    entered.clear()
    leave.clear()
    second = spawn.Process(target=hold, args=(entered, leave))
    second.start()
    assert entered.wait(60)
    second.kill()
    with built_by_one("thing"):
        assert Path("inside").exists()
    second.join()
