"""Ranks agree through real process groups, and fail together."""

from __future__ import annotations

import pytest
import torch.distributed as dist
from checkpoint_worlds import check_iteration, fork, in_threads, save_iteration, wait

from neox_core.checkpoint import SoloGroup, TorchGroup
from neox_core.checkpoint.group import together
from neox_core.errors import UserError


def in_processes(world_size, rendezvous, work):
    """Exit codes of `work(group)` in that many processes that form a gloo group."""

    def one(rank):
        store = dist.FileStore(str(rendezvous), world_size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
        try:
            work(TorchGroup())
        finally:
            dist.destroy_process_group()

    return [wait(child) for child in [fork(lambda rank=rank: one(rank)) for rank in range(world_size)]]


def test_one_process_is_a_group():
    group = SoloGroup()
    assert group.gather("a") == ["a"]
    assert group.broadcast("a") == "a"
    group.barrier()
    assert together(group, "work", lambda: 3) == [3]


def test_processes_exchange_values_and_save_one_checkpoint(tmp_path):
    def work(group):
        assert group.gather(group.rank) == ([0, 1] if group.rank == 0 else None)
        assert group.broadcast(f"from {group.rank}") == "from 0"
        group.barrier()
        check_iteration(save_iteration(tmp_path / "save", 1, group), 1)

    assert in_processes(2, tmp_path / "store", work) == [0, 0]
    check_iteration(tmp_path / "save" / "global_step1", 1)


def test_a_group_of_some_of_the_ranks_counts_from_zero(tmp_path):
    def work(world):
        part = dist.new_group([1, 2], backend="gloo")
        if world.rank > 0:
            group = TorchGroup(part)
            assert (group.rank, group.world_size) == (world.rank - 1, 2)
            assert group.broadcast(world.rank) == 1
            assert group.gather(world.rank) == ([1, 2] if world.rank == 1 else None)

    assert in_processes(3, tmp_path / "store", work) == [0, 0, 0]


def test_processes_fail_together(tmp_path):
    def work(group):
        def part():
            if group.rank == 1:
                raise LookupError("no such luck")

        with pytest.raises(LookupError if group.rank == 1 else UserError, match="no such luck"):
            together(group, "The work", part)

    assert in_processes(2, tmp_path / "store", work) == [0, 0]


def test_results_are_in_the_order_of_ranks():
    outcomes = in_threads(3, lambda group: together(group, "work", lambda: group.rank * 10))
    assert outcomes == [[0, 10, 20], None, None]


def test_every_failing_rank_raises_its_own_error_and_the_others_name_them_all():
    def work(group):
        def part():
            if group.rank > 0:
                raise OSError(f"disk {group.rank}")

        return together(group, "Saving", part)

    first, second, third = in_threads(3, work)
    assert str(first) == "Saving failed on rank 1: disk 1; rank 2: disk 2"
    assert isinstance(first, UserError)
    assert (str(second), str(third)) == ("disk 1", "disk 2")
