"""What to change of settings whose run does not fit, each change tried by planning it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from neox_commands.plan_run import Plan, plan_run
from neox_core.config import (
    ActivationCheckpointingSettings,
    DeepSpeedSettings,
    NeoXArgs,
    ParallelismSettings,
    Resolved,
)
from neox_core.errors import UserError
from neox_core.plugins import PluginManager
from neox_core.training.components import component_problems

Changes = Mapping[str, Any]


def what_fits(args: NeoXArgs, plan: Plan, plugins: PluginManager, bytes_of_rank: int) -> tuple[Changes, Plan] | None:
    """The first changes with which a plan fits, without those that are not needed, and the plan with them; None: there are none.

    Args:
        args: the settings.
        plan: what they come to, which does not fit.
        plugins: where parts are looked up.
        bytes_of_rank: of memory.
    """
    made: dict[str, Any] = {}
    for way in WAYS:
        for step in way(plan.resolved):
            trial = _plan_with(args, plan.resolved, plugins, {**made, **step})
            if trial is None or trial.worst.memory >= plan.worst.memory:
                continue
            made, plan = {**made, **step}, trial
            if plan.worst.memory <= bytes_of_rank:
                return _needed(args, plan, plugins, made, bytes_of_rank)
    return None


def _smaller_batches(resolved: Resolved) -> Iterator[Changes]:
    micro, passes = resolved.batch.micro, resolved.batch.accumulation
    while micro > 1:
        divisor = next(d for d in range(2, micro + 1) if micro % d == 0)
        micro, passes = micro // divisor, passes * divisor
        yield _batch(micro, passes)


def _recomputation(resolved: Resolved) -> Iterator[Changes]:
    if not resolved[ActivationCheckpointingSettings].checkpoint_activations:
        yield {"checkpoint_activations": True}


def _sequence_parallelism(resolved: Resolved) -> Iterator[Changes]:
    if resolved.topology.tensor > 1 and not resolved[ParallelismSettings].sequence_parallel:
        yield {"sequence_parallel": True}


def _further_zero(resolved: Resolved) -> Iterator[Changes]:
    given = resolved[DeepSpeedSettings].zero_optimization or {}
    for stage in range(resolved.deepspeed["zero_optimization"]["stage"] + 1, 4):
        yield {"zero_optimization": {**given, "stage": stage}}


def _more_tensor_ranks(resolved: Resolved) -> Iterator[Changes]:
    most = max(host.slots for host in resolved.world.hosts)
    for factor in _powers_of_two(resolved):
        if resolved.topology.tensor * factor <= most:
            ranks = {"model_parallel_size": resolved.topology.tensor * factor, "sequence_parallel": True}
            yield {**ranks, **_batch(resolved.batch.micro, resolved.batch.accumulation * factor)}


def _more_stages(resolved: Resolved) -> Iterator[Changes]:
    for factor in _powers_of_two(resolved):
        ranks = {"pipe_parallel_size": resolved.topology.pipe * factor}
        yield {**ranks, **_batch(resolved.batch.micro, resolved.batch.accumulation * factor)}


def _powers_of_two(resolved: Resolved) -> Iterator[int]:
    """Those by which there may be fewer data-parallel ranks."""
    factor = 2
    while resolved.batch.data_parallel % factor == 0:
        yield factor
        factor *= 2


WAYS: tuple[Callable[[Resolved], Iterator[Changes]], ...] = (
    _smaller_batches,
    _recomputation,
    _sequence_parallelism,
    _further_zero,
    _more_tensor_ranks,
    _more_stages,
)
"""In the order of what they cost: time, communication, other ranks. Each begins with what those before it have come to."""


def _batch(micro: int, passes: int) -> Changes:
    """Micro-batches of another size, as many samples in a step."""
    return {"train_micro_batch_size_per_gpu": micro, "gradient_accumulation_steps": passes}


def _plan_with(args: NeoXArgs, resolved: Resolved, plugins: PluginManager, changes: Changes) -> Plan | None:
    """The plan with other settings; None where they are refused, or make another batch."""
    try:
        return _accepted(args, resolved, plugins, changes)
    except UserError:  # of settings that do not fit together, or stages that have no layers
        return None


def _accepted(args: NeoXArgs, resolved: Resolved, plugins: PluginManager, changes: Changes) -> Plan | None:
    changed = NeoXArgs.from_dict({**args.to_dict(), **changes}, plugins=plugins)
    other = changed.resolve(resolved.world, resolved.vocabulary)
    refused = {str(problem) for problem in (*resolved.limitations, *component_problems(resolved, plugins))}
    found = {str(problem) for problem in (*other.limitations, *component_problems(other, plugins))}
    if found - refused or other.batch.total != resolved.batch.total:
        return None
    return plan_run(changed, other, plugins)


def _needed(
    args: NeoXArgs, plan: Plan, plugins: PluginManager, made: Changes, bytes_of_rank: int
) -> tuple[Changes, Plan]:
    """The changes without those that it also fits without."""
    batch = {key: made[key] for key in _batch(1, 1) if key in made}
    for key in [key for key in made if key not in batch]:
        fewer = {other: value for other, value in made.items() if other != key}
        trial = _plan_with(args, plan.resolved, plugins, fewer)
        if trial is not None and trial.worst.memory <= bytes_of_rank:
            made, plan = fewer, trial
    fewer = {key: value for key, value in made.items() if key not in batch}
    if batch and fewer:
        trial = _plan_with(args, plan.resolved, plugins, fewer)
        if trial is not None and trial.worst.memory <= bytes_of_rank:
            return fewer, trial
    return made, plan
