"""Which optimizers may be cut, by ZeRO: those that were proved with it, or that a run asks for all the same; and over other ranks."""

from __future__ import annotations

from collections.abc import Iterator

from neox_core.config import DeepSpeedSettings, Resolved
from neox_core.config.deepspeed_rules import ZERO_STAGES
from neox_core.errors import Problem
from neox_core.plugins import Optimizer, PluginManager


def admission_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem when the optimizer was not proved at the run's stage of ZeRO and the run does not ask for it.

    Stages that there are not, or that are left to DeepSpeed's autotuner, are told of where settings are resolved.
    """
    stage = resolved.deepspeed["zero_optimization"]["stage"]
    optimizer = plugins.find("optimizer", resolved.optimizer.name).component
    settings = resolved[DeepSpeedSettings]
    extra = settings.deepspeed_extra_args or {}
    asked = settings.zero_allow_untested_optimizer or extra.get("zero_allow_untested_optimizer")
    if not isinstance(optimizer, Optimizer) or stage not in ZERO_STAGES or stage in {0, *optimizer.zero}:
        return
    if optimizer.local:
        reduced = resolved.precision != "fp32"
        yield Problem(
            keys=("optimizer", "zero_optimization", "precision"),
            message=f"{optimizer.name} averages over the ranks by itself, which leaves nothing for stage {stage} of ZeRO to do"
            + (f"; {resolved.precision} is stage 1 at least" if reduced else ""),
            remedy="set zero_optimization.stage: 0 and precision: fp32"
            + (", without the key fp16 or bf16" if reduced else "")
            + ", or take another optimizer",
            origin=resolved.origin("optimizer.type"),
        )
    if optimizer.local or asked:
        return
    yield Problem(
        keys=("optimizer", "zero_optimization", "zero_allow_untested_optimizer"),
        message=f"{optimizer.name} has not been proved with stage {stage} of ZeRO, which hands it pieces of parameters",
        remedy="set zero_allow_untested_optimizer: true to try it"
        + (", or zero_optimization.stage: 0" if resolved.precision == "fp32" else ""),
        origin=resolved.origin("optimizer.type"),
    )


def cutting_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem when the optimizer needs what ranks of the run's topology do not have."""
    optimizer, topology = plugins.find("optimizer", resolved.optimizer.name).component, resolved.topology
    if not (isinstance(optimizer, Optimizer) and optimizer.local):
        return
    for size, key in ((topology.tensor, "model_parallel_size"), (topology.pipe, "pipe_parallel_size")):
        if size > 1:
            yield Problem(
                keys=("optimizer", key),
                message=f"{optimizer.name} averages over all ranks by itself, and with {key} {size} they have different weights",
                remedy=f"set {key}: 1, or take another optimizer, such as adam",
                origin=resolved.origin("optimizer.type"),
            )
