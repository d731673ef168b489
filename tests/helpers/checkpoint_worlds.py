"""Ranks as threads or as forked processes, and small checkpoints to try them on."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from neox_core.checkpoint import Group, Reader, SoloGroup, find, save
from neox_core.config import Topology
from neox_core.parallel.shards import Fragment, ShardSpec

SETTINGS = "num_layers: 2\n"
ROLES = {"weight": torch.bfloat16, "master": torch.float32, "exp_avg": torch.float32}
SIZES = {"embedding.weight": (6, 4), "layers.0.mlp.bias": (5,), "norm.weight": (4,)}


class ThreadGroup:
    """One of several ranks that are threads of this process."""

    def __init__(self, rank: int, world_size: int, slots: list[Any], gate: threading.Barrier) -> None:
        self.rank = rank
        self.world_size = world_size
        self._slots = slots
        self._gate = gate

    def gather(self, value: Any) -> list[Any] | None:
        self._slots[self.rank] = value
        self._gate.wait()
        values = list(self._slots) if self.rank == 0 else None
        self._gate.wait()
        return values

    def broadcast(self, value: Any) -> Any:
        if self.rank == 0:
            self._slots[0] = value
        self._gate.wait()
        value = self._slots[0]
        self._gate.wait()
        return value

    def barrier(self) -> None:
        self._gate.wait()


def in_threads(world_size: int, work: Callable[[Group], Any]) -> list[Any]:
    """What `work` returned, or the exception it raised, for each rank."""
    slots, gate = [None] * world_size, threading.Barrier(world_size, timeout=20)

    def one(rank: int) -> Any:
        try:
            return work(ThreadGroup(rank, world_size, slots, gate))
        except Exception as error:
            return error

    with ThreadPoolExecutor(world_size) as pool:
        return list(pool.map(one, range(world_size)))


def fork(work: Callable[[], Any]) -> int:
    """Start `work` in a forked process; its id. It ends with exit code 0, or 1 after an exception."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wait(child: int) -> int:
    """Wait for a forked process; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def whole(name: str) -> ShardSpec:
    return ShardSpec.complete(name, SIZES[name])


def values(iteration: int, name: str, role: str) -> torch.Tensor:
    """The flat values of a parameter in a role at an iteration: different for each."""
    seed = [*SIZES].index(name) * 10 + [*ROLES].index(role) + 100 * iteration
    return torch.randn(whole(name).local_size, generator=torch.Generator().manual_seed(seed)).to(ROLES[role])


def pieces(tensor: torch.Tensor, spec: ShardSpec, role: str, cuts: Sequence[int]) -> list[Fragment]:
    """The flat tensor cut at the given places."""
    edges = [0, *sorted(cuts), tensor.numel()]
    return [Fragment(spec, role, (a, b), tensor[a:b]) for a, b in pairwise(edges)]


def fragments(iteration: int, rank: int = 0, world_size: int = 1) -> list[Fragment]:
    """What a rank writes: its even share of every flat parameter in every role, and, on rank 0, one scalar state."""
    mine = []
    for name in SIZES:
        spec = whole(name)
        cuts = [spec.local_size * part // world_size for part in range(1, world_size)]
        mine += [pieces(values(iteration, name, role), spec, role, cuts)[rank] for role in ROLES]
    if rank == 0:
        step = torch.tensor([float(iteration)])
        mine += [Fragment(whole(name), "step", (0, 1), step, scalar=True) for name in SIZES]
    return mine


def save_fragments(
    directory: Path,
    of_ranks: Sequence[Sequence[Fragment]],
    topology: Topology | None = None,
    streams: Mapping[int, dict[str, Any]] | None = None,
) -> Path:
    """A checkpoint of what each rank passes; of its streams too, where it has some."""

    def work(group: Group) -> Path:
        return save(
            directory,
            iteration=1,
            fragments=of_ranks[group.rank],
            state={},
            files={},
            random_state=None,
            stream_state=None if streams is None else streams.get(group.rank),
            group=group,
            topology=topology,
        )

    path: Path = in_threads(len(of_ranks), work)[0]
    return path


def save_iteration(
    directory: Path,
    iteration: int,
    group: Group | None = None,
    topology: Topology | None = None,
    of_rank: Sequence[Fragment] | None = None,
) -> Path:
    """Save what `check_iteration` expects; `of_rank` are copies of this rank's fragments."""
    group = group or SoloGroup()
    return save(
        directory,
        iteration=iteration,
        fragments=fragments(iteration, group.rank, group.world_size) if of_rank is None else of_rank,
        state={"consumed_samples": 8 * iteration, "skipped_steps": 0},
        files={"settings.yml": SETTINGS, "plugins.json": "{}", "tokenizer.json": b"\x00\xff"},
        random_state={"iteration": iteration, "rank": group.rank},
        stream_state={"batch": iteration, "rank": group.rank},
        group=group,
        topology=topology,
    )


def check_iteration(path: Path, iteration: int) -> None:
    """Read everything there is and compare it with what `save_iteration` wrote."""
    reader = Reader(path)
    assert reader.iteration == iteration
    assert reader.state == {"consumed_samples": 8 * iteration, "skipped_steps": 0}
    assert reader.settings_text == SETTINGS
    assert reader.file("tokenizer.json") == b"\x00\xff"
    assert reader.file("plugins.json") == b"{}"
    for rank in range(reader.world_size):
        assert reader.random_state(rank) == {"iteration": iteration, "rank": rank}
        assert reader.stream_state(rank) == {"batch": iteration, "rank": rank}
    assert set(reader.names) == set(SIZES)
    for name in SIZES:
        assert set(reader.roles(name)) == {*ROLES, "step"}
        assert reader.read(whole(name), "step", (0, 1)).item() == iteration
        for role, dtype in ROLES.items():
            saved = reader.read(whole(name), role, (0, whole(name).local_size))
            assert torch.equal(saved, values(iteration, name, role))
            assert saved.dtype is dtype


def check_old_or_new(directory: Path, old: int, new: int) -> None:
    """One of the two is found, and whatever has a manifest is whole."""
    assert find(directory) in (directory / f"global_step{old}", directory / f"global_step{new}")
    for manifest in directory.glob("*/manifest.json"):
        check_iteration(manifest.parent, int(manifest.parent.name.removeprefix("global_step")))
