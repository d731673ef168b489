"""A plan as text and as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neox_commands.plan_machines import RESERVE, Gpu, smallest
from neox_commands.plan_run import Plan, StagePlan
from neox_commands.plan_traffic import sent
from neox_commands.sizes import Unit, in_words
from neox_core.cli.tables import table
from neox_core.config import CheckpointSettings, ModelSettings

AXES = ("tensor", "context", "pipe", "replicas")
"""Along which ranks communicate; `replicas` have the same weights."""


def text_of(plan: Plan) -> str:
    """For people."""
    unit = Unit.of(plan.worst.memory)
    parts = [table([*_facts(plan)]), f"memory of a rank in {unit.name}", table([*_memory_rows(plan, unit)])]
    if plan.resolved.topology.size > 1:
        unit = Unit.of(max(sum(_sent(plan, stage).values()) for stage in plan.stages))
        parts += [f"{unit.name} that a rank sends in a step, along each axis", table([*_traffic_rows(plan, unit)])]
    return "\n\n".join(parts)


def _facts(plan: Plan) -> Iterator[list[str]]:
    resolved, batch = plan.resolved, plan.resolved.batch
    length = resolved[ModelSettings].seq_length
    yield ["model", f"{_number(plan.parameters)} parameters, {resolved.precision}, ZeRO {zero_stage(plan)}"]
    yield ["ranks", f"{resolved.topology.size}: {resolved.topology}"]
    yield [
        "step",
        f"{batch.total} samples of {length} tokens, {_number(plan.tokens)} tokens: {batch.data_parallel} data-parallel ranks "
        f"x {batch.accumulation} micro-batches of {batch.micro}",
    ]
    again = sum(stage.repeated for stage in plan.stages) / len(plan.stages)
    yield [
        "work",
        f"{_number(plan.flops)} operations a step, {_number(plan.flops / plan.tokens)} a token, "
        f"{_number(plan.flops / resolved.topology.size)} a rank"
        + (f" and {_number(again)} for recomputation" if again else ""),
    ]
    most = max(stage.saved for stage in plan.stages)
    beside = resolved[CheckpointSettings].checkpoint_async
    yield [
        "checkpoint",
        f"{in_words(plan.checkpoint)}, of which a rank writes up to {in_words(most)}"
        + (" beside training, from a copy in the host's memory that it keeps" if beside else ""),
    ]
    if len(plan.stages) > 1:
        yield ["pipeline", f"{plan.bubble:.1%} of a step is waiting ({len(plan.stages)} stages)"]


def zero_stage(plan: Plan) -> int:
    """The stage of ZeRO."""
    return int(plan.resolved.deepspeed["zero_optimization"]["stage"])


def _memory_rows(plan: Plan, unit: Unit) -> Iterator[list[str]]:
    names = ["weights", "gradients", "master", "optimizer", "buffers", "activations", "working"]
    yield ["stage", "layers", "parameters", *names, "in all", ""]
    worst = plan.worst
    for stage in plan.stages:
        states = stage.states
        sizes = [states.weights, states.gradients, states.master, states.optimizer, states.buffers]
        numbers = (*sizes, stage.activations, stage.working, stage.memory)
        yield [
            str(stage.stage.index),
            _layers(stage),
            _number(stage.parameters),
            *(unit.number(number) for number in numbers),
            " ".join(_remarks(stage, stage is worst and len(plan.stages) > 1)),
        ]


def _remarks(stage: StagePlan, worst: bool) -> Iterator[str]:
    if worst:
        yield "<- most"
    if stage.under_way > 1:
        yield f"({stage.under_way} micro-batches under way)"
    if stage.states.offloaded:
        yield f"({in_words(stage.states.offloaded)} offloaded)"
    if stage.on_host:
        yield "(activations in the host's memory)"


def _layers(stage: StagePlan) -> str:
    layers = stage.stage.layers
    return f"{layers.start}-{layers.stop - 1}" if layers else "none"


def _sent(plan: Plan, stage: StagePlan) -> dict[str, float]:
    """Bytes that a rank of a stage sends in a step, by axis."""
    return {axis: sent(stage.traffic[axis], size) for axis, size in sizes_along(plan).items()}


def _traffic_rows(plan: Plan, unit: Unit) -> Iterator[list[str]]:
    sizes = sizes_along(plan)
    shown = [axis for axis in AXES if sizes[axis] > 1]
    yield ["stage", *(f"{axis} ({sizes[axis]})" for axis in shown), "by collective"]
    for stage in plan.stages:
        kinds = [
            f"{axis} {kind} {unit.number(size)}"
            for axis in shown
            for kind, size in stage.traffic[axis].items()
            if size > 0
        ]
        each = _sent(plan, stage)
        yield [str(stage.stage.index), *(unit.number(each[axis]) for axis in shown), ", ".join(kinds)]


def sizes_along(plan: Plan) -> dict[str, int]:
    """Ranks along each axis."""
    topology = plan.resolved.topology
    return {
        "tensor": topology.tensor,
        "context": topology.context,
        "pipe": topology.pipe,
        "replicas": topology.replicas,
    }


def verdict(plan: Plan, gpu: Gpu | None) -> str:
    """Whether it fits, in a sentence."""
    needed = plan.worst.memory
    if gpu is None:
        enough = smallest(needed)
        least = f"the smallest that has it is {enough.name}" if enough else "no GPU known here has it"
        return f"{in_words(needed)}, with {RESERVE:.0%} of the memory left to driver and allocator: {least}"
    fits = "fits" if needed <= gpu.usable else "does not fit"
    return (
        f"{fits} {gpu.name}: {in_words(needed)} of {in_words(gpu.usable)} ({in_words(gpu.memory)} less {RESERVE:.0%} for driver "
        "and allocator)"
    )


def _number(value: float) -> str:
    for limit, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.4g} {unit}"
    return f"{value:.4g}"


def data_of(plan: Plan, gpu: Gpu | None) -> dict[str, Any]:
    """All numbers; bytes and operations."""
    resolved, sizes = plan.resolved, sizes_along(plan)
    return {
        "parameters": plan.parameters,
        "precision": resolved.precision,
        "zero_stage": zero_stage(plan),
        "topology": resolved.topology.shape._asdict(),
        "batch": {**resolved.batch._asdict(), "total": resolved.batch.total, "tokens": plan.tokens},
        "flops_per_step": plan.flops,
        "flops_per_token": plan.flops / plan.tokens,
        "bubble": plan.bubble,
        "memory": plan.worst.memory,
        "checkpoint": plan.checkpoint,
        "gpu": None
        if gpu is None
        else {**gpu._asdict(), "usable": gpu.usable, "fits": plan.worst.memory <= gpu.usable},
        "stages": [_stage_data(stage, sizes) for stage in plan.stages],
    }


def _stage_data(stage: StagePlan, sizes: dict[str, int]) -> dict[str, Any]:
    states = stage.states
    return {
        "stage": stage.stage.index,
        "layers": [stage.stage.layers.start, stage.stage.layers.stop],
        "parameters": stage.parameters,
        "owned": stage.owned,
        "bytes": {
            "weights": states.weights,
            "gradients": states.gradients,
            "master": states.master,
            "optimizer": states.optimizer,
            "buffers": states.buffers,
            "activations": stage.activations,
            "working": stage.working,
            "update": states.update,
            "offloaded": states.offloaded,
            "saved": stage.saved,
            "total": stage.memory,
        },
        "micro_batches_under_way": stage.under_way,
        "traffic": {
            axis: {"sent": sent(traffic, sizes[axis]), "tensors": dict(traffic)}
            for axis, traffic in stage.traffic.items()
        },
        "flops": stage.flops,
        "flops_repeated": stage.repeated,
    }
