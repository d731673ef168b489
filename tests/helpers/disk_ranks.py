"""What ranks are asked to do by the tests of offloading to disks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from training_models import Bench, same

from neox_core.checkpoint import Reader


class Found(NamedTuple):
    """What became of a run.

    Args:
        losses: of its steps.
        on_disks: number of elements that lie in files, of weights and state.
        held: how many of them are in memory all the same.
    """

    losses: list[float]
    on_disks: int = 0
    held: int = 0


def elements(bench: Bench) -> tuple[int, int]:
    """Of partitions and their state: those that are in files, and those that are in memory."""
    zero, on_disks, held = bench.engine._core._zero, 0, 0
    for group, partition in enumerate(zero.fp32_partitioned_groups_flat):
        kept = [partition, *(value for value in zero.optimizer.state[partition].values() if value.numel() != 1)]
        if zero._swappable_optimizer_subgroup(group):
            on_disks += zero.fp16_partitioned_groups_flat_numel[group] * len(kept)
            held += sum(value.numel() for value in kept)
    return on_disks, held


def trained(directory: Path, steps: int = 2, begin: Path | None = None, **changes: Any) -> Found:
    """Some steps, from a checkpoint or the beginning, and a checkpoint."""
    bench = Bench(**changes)
    if begin is not None:
        reader = Reader(begin)
        bench.engine.load_fragments(reader)
        bench.go_to(reader.manifest.iteration)
    losses = [result.loss for result in bench.train(steps)]
    found = Found(losses, *elements(bench)) if changes["zero_optimization"]["stage"] == 3 else Found(losses)
    bench.save(directory)
    return found


def states_agree(steps: int, one: dict[str, Any], other: dict[str, Any], **changes: Any) -> bool:
    """Whether weights that compute, originals and state are the same to the bit after steps with two dictionaries for ZeRO."""
    first, second = (Bench(zero_optimization=zero, **changes) for zero in (one, other))
    first.train(steps)
    second.train(steps)
    return same(first.state(), second.state())


def with_evaluations(**changes: Any) -> Found:
    """Losses of steps and evaluations in turn, and the number of weights that compute whose pieces are in files."""
    bench, losses = Bench(**changes), list[float]()
    for _ in range(2):
        losses += [result.loss for result in bench.train(2)]
        losses.append(bench.engine.evaluate(bench.batches, 2)["loss"])
    return Found(losses, sum(p.ds_tensor.final_location == "nvme" for p in bench.parameters.values()))
