"""Processes killed in the middle of a save or a removal: what is found afterwards is whole, and old or new."""

from __future__ import annotations

import os
import random
import signal

import pytest
from checkpoint_worlds import check_iteration, check_old_or_new, fork, save_iteration, wait
from counted_lines import Lines, lines_of

from neox_core.checkpoint import find, prune

TRIALS = int(os.environ.get("NEOX_CRASH_TRIALS", "20"))


@pytest.fixture
def moments():
    """Draws random moments among `count` lines; its seed is printed, and can be given again by NEOX_CRASH_SEED."""
    seed = int(os.environ.get("NEOX_CRASH_SEED", random.randrange(2**32)))
    print(f"NEOX_CRASH_SEED={seed}")
    generator = random.Random(seed)
    return lambda count, trials: [generator.randint(1, count) for _ in range(trials)]


def kill_in(work, line):
    """Run `work` in another process and kill that at a line."""

    def doomed():
        with Lines(kill_at=line):
            work()

    assert wait(fork(doomed)) == -signal.SIGKILL


def test_clearing_an_interrupted_save_can_be_killed_too(tmp_path, moments):
    def interrupted(directory):
        save_iteration(directory, 1)
        (save_iteration(directory, 2) / "manifest.json").unlink()
        (directory / "latest").write_text("global_step1\n")

    interrupted(tmp_path / "count")
    count = lines_of(lambda: save_iteration(tmp_path / "count", 2))
    for trial, line in enumerate(moments(count, TRIALS // 4)):
        directory = tmp_path / str(trial)
        interrupted(directory)
        kill_in(lambda directory=directory: save_iteration(directory, 2), line)
        check_old_or_new(directory, 1, 2)


def test_a_first_save_killed_at_any_moment_is_whole_or_not_there(tmp_path, moments):
    count = lines_of(lambda: save_iteration(tmp_path / "count", 1))
    for trial, line in enumerate(moments(count, TRIALS // 4)):
        directory = tmp_path / str(trial)
        kill_in(lambda directory=directory: save_iteration(directory, 1), line)
        path = find(directory)
        if path is not None:
            check_iteration(path, 1)


def test_a_removal_killed_at_any_moment_leaves_the_newest(tmp_path, moments):
    def three(directory):
        for iteration in (1, 2, 3):
            save_iteration(directory, iteration)
        (directory / "latest").write_text("global_step1\n")  # as after a crash between a manifest and `latest`

    three(tmp_path / "count")
    count = lines_of(lambda: prune(tmp_path / "count", 1))
    for trial, line in enumerate(moments(count, TRIALS // 2)):
        directory = tmp_path / str(trial)
        three(directory)
        kill_in(lambda directory=directory: prune(directory, 1), line)
        check_old_or_new(directory, 3, 3)
        prune(directory, 1)
        assert sorted(path.name for path in directory.iterdir()) == ["global_step3", "latest"]
