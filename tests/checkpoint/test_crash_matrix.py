"""Ranks that are killed at any moment of a save: what is loaded afterwards is the state before or the new one, to the last bit."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from checkpoint_worlds import check_iteration, check_old_or_new, fork, fragments, save_iteration, wait
from counted_lines import Lines, lines_of
from whole_matrix import WHOLE

from neox_core.checkpoint import Group, Snapshots, SoloGroup, TorchGroup, find
from neox_core.training.background import Background

TRIALS = int(os.environ.get("NEOX_CRASH_TRIALS", "200" if WHOLE else "20"))
MODES = [(beside, ranks) for beside in (False, True) for ranks in (1, 2)]


@pytest.fixture(scope="module")
def generator():
    """Draws moments; its seed is printed, and can be given again by NEOX_CRASH_SEED."""
    seed = int(os.environ.get("NEOX_CRASH_SEED", random.randrange(2**32)))
    print(f"NEOX_CRASH_SEED={seed}")
    return random.Random(seed)


def save_beside(directory: Path, group: Group) -> None:
    """Save iteration 2 as a run does that trains on: its tensors change while they are written."""
    live = fragments(2, group.rank, group.world_size)
    copies = Snapshots().take(live)
    work = Background(lambda: save_iteration(directory, 2, group, of_rank=copies), "save")
    while not work.ended:
        for fragment in live:
            fragment.tensor.add_(1)
    work.result()


def save_on(directory: Path, beside: bool, group: Group) -> None:
    if beside:
        save_beside(directory, group)
    else:
        save_iteration(directory, 2, group)


def start(directory: Path, rank: int, ranks: int, beside: bool, line: int | None, everyone: int | None) -> int:
    """Start one of the processes that save iteration 2 together; its id.

    Args:
        line: at which it is killed.
        everyone: process group that is killed with it; 0: one that it begins.
    """

    def one() -> None:
        if everyone is not None:
            os.setpgid(0, everyone)
        torch.set_num_threads(1)
        if ranks == 1:
            with Lines(line):
                save_on(directory, beside, SoloGroup())
            return
        store = dist.FileStore(f"{directory}.store", ranks)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
        with Lines(line, all_of_group=everyone is not None):
            save_on(directory, beside, TorchGroup())
        dist.destroy_process_group()

    return fork(one)


def crash(directory: Path, ranks: int, beside: bool, doomed: int, line: int, together: bool) -> list[int]:
    """How the ranks end of which one, or all with it, is killed at a line."""
    leader = start(directory, 0, ranks, beside, line if doomed == 0 else None, 0 if together else None)
    if together:
        with_leader(leader)
    others = [
        start(directory, rank, ranks, beside, line if doomed == rank else None, leader if together else None)
        for rank in range(1, ranks)
    ]
    return [wait(child) for child in (leader, *others)]


def with_leader(leader: int) -> None:
    """Let a forked process have begun its group before another one joins it."""
    os.setpgid(leader, leader)


def trials_of(mode: tuple[bool, int]) -> int:
    """In a short run the modes share the trials."""
    return TRIALS if WHOLE else TRIALS // len(MODES)


@pytest.mark.parametrize(("beside", "ranks"), MODES)
def test_the_state_is_the_one_before_or_the_new_one(tmp_path, generator, beside, ranks):
    count = lines_of(lambda: save_iteration(tmp_path / "count", 1))  # about what each rank runs
    for trial in range(trials_of((beside, ranks))):
        directory, doomed = tmp_path / str(trial), generator.randrange(ranks)
        line, together = generator.randint(1, count), ranks > 1 and generator.random() < 0.5
        save_iteration(directory, 1)
        codes = crash(directory, ranks, beside, doomed, line, together)
        assert codes[doomed] in (0, -signal.SIGKILL)  # 0 where the rank runs fewer lines than the moment drawn
        check_old_or_new(directory, 1, 2)
        if codes != [0] * ranks and not together and find(directory) == directory / "global_step1":
            assert all(code == 1 for rank, code in enumerate(codes) if rank != doomed), "the others are told"
        check_iteration(save_iteration(directory, 2), 2)
        assert find(directory) == directory / "global_step2", "the next save is none the worse for it"
