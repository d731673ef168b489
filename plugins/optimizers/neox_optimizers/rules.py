"""Rules over the optimizer and other keys."""

from __future__ import annotations

from collections.abc import Iterator

from neox_core.config import NeoXArgs, World
from neox_core.config.optimizer_choice import optimizer_name
from neox_core.config.precision import precisions_asked_for
from neox_core.errors import Problem


def problems(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """What an optimizer asks of other keys, and they of it."""
    name = optimizer_name(args)
    if name == "cpu_adam" and world.device == "cuda":
        yield from _parameters_are_in_the_host(args)
    if name == "schedule_free_adamw":
        yield from _rate_stays(args)
    if args.use_bnb_optimizer and name and name not in ("adam", "adamw", "adam8bit"):
        yield Problem(
            keys=("use_bnb_optimizer", "optimizer"),
            message=f"bitsandbytes takes the place of adam and adamw, and optimizer.type is {name}",
            remedy="set use_bnb_optimizer: false, or optimizer.type: adam",
        )


def _rate_stays(args: NeoXArgs) -> Iterator[Problem]:
    key = "lr_decay_style" if args.scheduler is None else "scheduler"
    style = args.lr_decay_style.casefold() if args.scheduler is None else args.scheduler.get("type")
    if style not in ("constant", "WarmupLR"):
        yield Problem(
            keys=(key, "optimizer"),
            message=f"schedule_free_adamw keeps an average of the weights in the place of a falling rate, and with {key}: {style} the "
            "late steps would not count in it as they should",
            remedy="set lr_decay_style: constant, without a scheduler; warmup is fine",
        )


def _parameters_are_in_the_host(args: NeoXArgs) -> Iterator[Problem]:
    zero = args.zero_optimization or {}
    offload = zero.get("offload_optimizer") or {"device": "cpu" if zero.get("cpu_offload") is True else None}
    has_parts = zero.get("stage", 0) != 0 or bool(precisions_asked_for(args) - {"fp32"})
    if not has_parts or not isinstance(offload, dict) or offload.get("device") not in ("cpu", "nvme"):
        yield Problem(
            keys=("optimizer", "zero_optimization"),
            message="cpu_adam updates parameters in the host's memory, and on GPUs they are there only when they are offloaded",
            remedy="set zero_optimization: {stage: 1, offload_optimizer: {device: cpu}}, or use adam",
        )
