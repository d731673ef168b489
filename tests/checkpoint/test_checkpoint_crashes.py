"""Processes killed in the middle of a save or a removal: what is found afterwards is whole, and old or new."""

from __future__ import annotations

import os
import random
import signal

import pytest
import torch.distributed as dist
from checkpoint_worlds import Lines, check_iteration, fork, save_iteration, wait

from neox_core.checkpoint import TorchGroup, find, prune

TRIALS = int(os.environ.get("NEOX_CRASH_TRIALS", "20"))


@pytest.fixture
def moments():
    """Draws random moments among `count` lines; its seed is printed, and can be given again by NEOX_CRASH_SEED."""
    seed = int(os.environ.get("NEOX_CRASH_SEED", random.randrange(2**32)))
    print(f"NEOX_CRASH_SEED={seed}")
    generator = random.Random(seed)
    return lambda count, trials: [generator.randint(1, count) for _ in range(trials)]


def lines_of(work):
    with Lines() as lines:
        work()
    return lines.count


def kill_in(work, line):
    """Run `work` in another process and kill that at a line."""

    def doomed():
        with Lines(kill_at=line):
            work()

    assert wait(fork(doomed)) == -signal.SIGKILL


def check_old_or_new(directory, old, new):
    """One of the two is found, and whatever has a manifest is whole."""
    assert find(directory) in (directory / f"global_step{old}", directory / f"global_step{new}")
    for manifest in directory.glob("*/manifest.json"):
        check_iteration(manifest.parent, int(manifest.parent.name.removeprefix("global_step")))


def test_a_save_killed_at_any_moment_leaves_the_old_checkpoint_or_the_new(tmp_path, moments):
    save_iteration(tmp_path / "count", 1)
    count = lines_of(lambda: save_iteration(tmp_path / "count", 2))
    for trial, line in enumerate([*moments(count, TRIALS), count]):
        directory = tmp_path / str(trial)
        save_iteration(directory, 1)
        kill_in(lambda directory=directory: save_iteration(directory, 2), line)
        check_old_or_new(directory, 1, 2)
        check_iteration(save_iteration(directory, 2), 2)
        assert find(directory) == directory / "global_step2"


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


def start_rank(rank, directory, kill_at=None):
    """Start one of two processes that save iteration 2 together; its id."""

    def one():
        store = dist.FileStore(f"{directory}.store", 2)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
        with Lines(kill_at):
            save_iteration(directory, 2, TorchGroup())
        dist.destroy_process_group()

    return fork(one)


def test_a_rank_killed_in_a_save_of_two_fails_the_other_and_leaves_the_old_checkpoint_or_the_new(tmp_path, moments):
    count = lines_of(lambda: save_iteration(tmp_path / "count", 1))  # about what each of two ranks runs
    for trial, line in enumerate(moments(count, max(2, TRIALS // 5))):
        directory, doomed = tmp_path / str(trial), trial % 2
        save_iteration(directory, 1)
        ranks = [start_rank(rank, directory, line if rank == doomed else None) for rank in (0, 1)]
        codes = [wait(rank) for rank in ranks]
        assert codes[doomed] in (0, -signal.SIGKILL)  # 0 where the rank runs fewer lines than the moment drawn
        check_old_or_new(directory, 1, 2)
        if codes != [0, 0] and find(directory) == directory / "global_step1":
            assert codes[1 - doomed] == 1
