"""A build of an extension that was killed keeps nobody waiting, two processes do not build at once, and who builds says so."""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.file_baton import FileBaton

from neox_core.training.extensions import built_by_one, is_built


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


def rules(headers):
    return f"rule copy\n  command = cp $in $out\nbuild thing.so: copy thing.cpp\n# -isystem {headers}\n"


def test_what_this_environment_has_built_is_known_and_only_other_builds_are_told(directory, caplog, monkeypatch):
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )  # DeepSpeed's ninja
    monkeypatch.setenv("CXX", "sh")  # nothing is compiled
    caplog.set_level(logging.INFO, "neox")
    directory.mkdir()
    assert not is_built("thing")
    with built_by_one("thing"):
        (directory / "thing.cpp").touch()
        (directory / "build.ninja").write_text(rules(Path(torch.__file__).parent / "include"))
        assert not is_built("thing")
        subprocess.run(["ninja"], cwd=directory, capture_output=True, check=True)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "compiling thing, an extension of DeepSpeed"
    ]
    caplog.clear()
    with built_by_one("thing"):
        assert is_built("thing")
    assert not caplog.records
    (directory / "build.ninja").write_text(rules("/other/torch/include"))
    assert not is_built("thing")
