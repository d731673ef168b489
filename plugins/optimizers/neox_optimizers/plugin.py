"""What this plugin offers: optimizers, by the names of `optimizer.type`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from neox_core.plugins import Component, Optimizer, StateShape, resolve

if TYPE_CHECKING:
    from neox_core.config import NeoXArgs, World
    from neox_core.errors import Problem

PROVED = frozenset({1, 2, 3})
"""Stages of ZeRO at which they compute the same as without."""
MOMENTS: dict[str, StateShape] = {"step": "scalar", "exp_avg": "element", "exp_avg_sq": "element"}
"""State of the Adam family."""
SUMS: dict[str, StateShape] = {f"accumulator_{axis}": "axis" for axis in range(4)}
"""State of SM3."""
EIGHT_BITS: dict[str, StateShape] = {
    "step": "scalar",
    **{f"state{moment}": "element" for moment in (1, 2)},
    **{f"{table}{moment}": "axis" for table in ("absmax", "qmap") for moment in (1, 2)},
}
"""State of bitsandbytes' Adam."""


def _optimizer(name: str, summary: str, factory: str, params: str, **facts: Any) -> Optimizer:
    """A descriptor; references are within this package."""
    return Optimizer(
        name=name,
        summary=summary,
        factory=f"neox_optimizers.{factory}",
        params=f"neox_optimizers.params:{params}",
        **{"zero": PROVED, **facts},
    )


def neox_components() -> Iterable[Component]:
    """The optimizers."""
    adam: dict[str, Any] = {"state": MOMENTS, "mup": "adam"}
    fused = "Adam with decoupled weight decay, by DeepSpeed's kernel on GPUs and torch's elsewhere"
    return [
        _optimizer("adam", f"{fused}, as in GPT-NeoX", "adam:build", "FusedAdamParams", **adam),
        _optimizer("adamw", fused, "adam:build", "FusedAdamParams", **adam),
        _optimizer("cpu_torch_adam", "the same by torch on every device", "adam:build_torch", "AdamParams", **adam),
        _optimizer(
            "cpu_adam",
            "AdamW, or Adam with L2 decay, in the host's memory, by DeepSpeed",
            "cpu_adam:build",
            "AdamParams",
            probe="neox_optimizers.cpu_adam:lack",
            **adam,
        ),
        _optimizer(
            "adam8bit",
            "the same with moments in 8 bits, by bitsandbytes",
            "adam8bit:build",
            "Adam8bitParams",
            state=EIGHT_BITS,
            whole=True,
            mup="adam",
            extra="bitsandbytes",
        ),
        _optimizer(
            "lamb",
            "Adam whose steps are scaled to each parameter's norm, for large batches",
            "lamb:build",
            "LambParams",
            state=MOMENTS,
            whole=True,
        ),
        _optimizer(
            "lion",
            "steps by the sign of a momentum",
            "lion:build",
            "LionParams",
            state={"exp_avg": "element"},
            mup="adam",
        ),
        _optimizer(
            "madgrad_wd",
            "dual averaging over a cube root of squares, with decoupled weight decay",
            "madgrad:build",
            "MadgradParams",
            state={"step": "scalar", "grad_sum_sq": "element", "s": "element", "x0": "element"},
        ),
        _optimizer(
            "muon",
            "orthogonal steps for the matrices of layers, AdamW for everything else",
            "muon:build",
            "MuonParams",
            state={**MOMENTS, "momentum_buffer": "element"},
            whole=True,
        ),
        _optimizer(
            "onebitadam",
            "Adam whose momentum, after a number of steps, is averaged over ranks in one bit for each number",
            "onebit_adam:build",
            "OneBitAdamParams",
            state={**MOMENTS, "variance_steps": "scalar"},
            local=True,
            zero=frozenset(),
        ),
        _optimizer(
            "schedule_free_adamw",
            "AdamW with an average of the weights in the place of a falling rate",
            "schedule_free:build",
            "ScheduleFreeParams",
            state={"step": "scalar", "weight_sum": "scalar", "z": "element", "exp_avg_sq": "element"},
        ),
        _optimizer(
            "sgd",
            "stochastic gradient descent with momentum",
            "sgd:build",
            "SGDParams",
            state={"momentum_buffer": "element"},
            mup="sgd",
        ),
        _optimizer(
            "sm3",
            "AdaGrad with one number for each row and each column",
            "sm3:build",
            "SM3Params",
            state={**SUMS, "momentum_buffer": "element"},
            whole=True,
        ),
    ]


def neox_check(args: NeoXArgs, world: World) -> Iterable[Problem]:
    """What an optimizer asks of other keys."""
    found: Iterable[Problem] = resolve("neox_optimizers.rules:problems")(args, world)
    return found
