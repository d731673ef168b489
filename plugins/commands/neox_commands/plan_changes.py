"""What to change of settings whose run does not fit, each change tried by planning it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neox_commands.plan_run import Plan, plan_run
from neox_core.config import NeoXArgs, ParallelismSettings, Resolved
from neox_core.errors import SettingsError
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
    for step in _steps(args, plan.resolved, made):
        trial = _plan_with(args, plan.resolved, plugins, {**made, **step})
        if trial is None or trial.worst.memory >= plan.worst.memory:
            continue
        made, plan = {**made, **step}, trial
        if plan.worst.memory <= bytes_of_rank:
            return _needed(args, plan, plugins, made, bytes_of_rank)
    return None


def _steps(args: NeoXArgs, resolved: Resolved, made: Changes) -> Iterator[Changes]:
    """Changes to add to others, in the order of what they cost: time, communication, other ranks."""
    batch, topology = resolved.batch, resolved.topology
    micro, passes = batch.micro, batch.accumulation
    while micro > 1:
        divisor = next(d for d in range(2, micro + 1) if micro % d == 0)
        micro, passes = micro // divisor, passes * divisor
        yield _batch(micro, passes)
    if not args.checkpoint_activations:
        yield {"checkpoint_activations": True}
    if topology.tensor > 1 and not resolved[ParallelismSettings].sequence_parallel:
        yield {"sequence_parallel": True}
    given = args.zero_optimization or {}
    stage = resolved.deepspeed["zero_optimization"]["stage"]
    for further in range(stage + 1, 4):
        yield {"zero_optimization": {**given, "stage": further}}
    tensor, pipe, data = topology.tensor, topology.pipe, batch.data_parallel
    most = max(host.slots for host in resolved.world.hosts)
    while tensor * 2 <= most and data % 2 == 0:
        tensor, data, passes = tensor * 2, data // 2, passes * 2
        yield {"model_parallel_size": tensor, "sequence_parallel": True, **_batch(micro, passes)}
    while data % 2 == 0:
        pipe, data, passes = pipe * 2, data // 2, passes * 2
        yield {"pipe_parallel_size": pipe, **_batch(micro, passes)}


def _batch(micro: int, passes: int) -> Changes:
    """Micro-batches of another size, as many samples in a step."""
    return {"train_micro_batch_size_per_gpu": micro, "gradient_accumulation_steps": passes}


def _plan_with(args: NeoXArgs, resolved: Resolved, plugins: PluginManager, changes: Changes) -> Plan | None:
    """The plan with other settings; None where they are refused, or make another batch."""
    try:
        changed = NeoXArgs.from_dict({**args.to_dict(), **changes}, plugins=plugins)
        other = changed.resolve(resolved.world, resolved.vocabulary)
    except SettingsError:
        return None
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
