"""DeepSpeed's configuration, from the settings of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neox_core.config.compatibility import reproduces
from neox_core.config.deepspeed_names import NAMES_OF_GPT_NEOX
from neox_core.config.groups import DeepSpeedSettings, GivenUpSettings
from neox_core.config.offload_rules import OLDER_NAMES
from neox_core.config.resolved import Batch, OptimizerChoice, Precision, Resolved
from neox_core.config.schedule_rules import has_one_bit_schedule

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

NOT_PASSED_ON = frozenset({"deepspeed_extra_args", "zero_optimization", "zero_allow_untested_optimizer", "autotuning"})
"""Keys of the deepspeed group that are not handed over as they are."""

ZERO_DEFAULTS = {
    "stage": 0,
    "allgather_partitions": True,
    "reduce_scatter": True,
    "allgather_bucket_size": 500_000_000,
    "overlap_comm": False,
    "reduce_bucket_size": 500_000_000,
    "contiguous_gradients": False,
}
"""GPT-NeoX's dictionary where none is given; one that is given replaces all of it."""


def deepspeed_json(args: NeoXArgs, batch: Batch, precision: Precision, optimizer: OptimizerChoice) -> dict[str, Any]:
    """What DeepSpeed is configured with: what was resolved, the keys of its own that were given, `deepspeed_extra_args`.

    Args:
        args: the settings.
        batch: samples in a step.
        precision: number format of parameters.
        optimizer: which optimizer.
    """
    json: dict[str, Any] = {
        "train_batch_size": batch.total,
        "train_micro_batch_size_per_gpu": batch.micro,
        "gradient_accumulation_steps": batch.accumulation,
        "gradient_clipping": float(args.gradient_clipping),
        "zero_optimization": _zero(args, precision),
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": args.steps_per_print,
        **_given(args),
        **_precision(args, precision),
    }
    if args.fp32_allreduce:
        json.setdefault("communication_data_type", "fp32")
    if args.gradient_clipping == 1.0 and reproduces(args.compat, "clipping-left-out"):
        del json["gradient_clipping"]
    if args.scheduler is None and has_one_bit_schedule(optimizer.name, args.compat):
        json["scheduler"] = one_bit_schedule(args.train_iters or 0, args.warmup, args.lr_decay_iters, optimizer.lr)
    if args.get("autotuning_run") is not None:  # the autotuner looks for it, and each rank that it starts too
        json["autotuning"] = {"enabled": True, **(args.autotuning or {})}
    return json | _extra(args)


def engine_json(resolved: Resolved) -> dict[str, Any]:
    """What DeepSpeed's engine is given in the end, without what is done here: the learning rate is set in each step.

    Whether the optimizer may be cut was decided before. DeepSpeed's options of pipelines are about layers, recomputation and exchanges
    that are ours. Stages reduce gradients when all backward passes are over; told to overlap the two, ZeRO 1 would not reduce them
    at all.
    """
    piped = resolved.topology.pipe > 1
    ours = {"scheduler", "pipeline"} if piped else {"scheduler"}
    given = {key: value for key, value in resolved.deepspeed.items() if key not in ours}
    zero = {**given["zero_optimization"], **({"overlap_comm": False} if piped else {})}
    return {**given, "zero_optimization": zero, "zero_allow_untested_optimizer": True}


def _given(args: NeoXArgs) -> dict[str, Any]:
    """The given keys that are DeepSpeed's own, in its words."""
    keys = set(DeepSpeedSettings.model_fields) - NOT_PASSED_ON
    known = args.ownership.keys
    values = {
        key: getattr(args, key) for key in sorted(keys) if key in args and not (known[key].pending or known[key].unused)
    }
    return {key: value for key, value in values.items() if value != known[key].default}


def _extra(args: NeoXArgs) -> dict[str, Any]:
    """The extra arguments; null is as good as nothing, and DeepSpeed refuses even the names of what it has given up."""
    given = args.deepspeed_extra_args or {}
    return {key: value for key, value in given.items() if value is not None and key not in GivenUpSettings.model_fields}


def _zero(args: NeoXArgs, precision: Precision) -> dict[str, Any]:
    zero = {"stage": 0, **(ZERO_DEFAULTS if args.zero_optimization is None else args.zero_optimization)}
    for older, part in OLDER_NAMES.items():
        if part in zero and not zero.get(older):
            zero.pop(older, None)  # DeepSpeed refuses even a switch that is off beside what took its place
    if precision != "fp32" and zero["stage"] == 0:
        # DeepSpeed has other optimizers for reduced precision without ZeRO: the one for bfloat16 takes an empty step when it is
        # made, which shifts Adam's count, and none reports the gradient's norm. On one rank stage 1 is the same.
        zero["stage"] = 1
    return zero


def _precision(args: NeoXArgs, precision: Precision) -> dict[str, Any]:
    if precision == "fp32":
        return {}
    given = getattr(args, precision) or {}
    known = {name: value for name, value in given.items() if name not in NAMES_OF_GPT_NEOX[precision]}
    return {precision: {**known, "enabled": True}}


def one_bit_schedule(train_iters: int, warmup: float, lr_decay_iters: int | None, lr: float) -> dict[str, Any]:
    """DeepSpeed's schedule for its 1-bit Adam, as GPT-NeoX sets it."""
    params = {
        "warmup_min_lr": 0,
        "warmup_max_lr": lr,
        "warmup_num_steps": max(int(train_iters * warmup), 1),  # DeepSpeed refuses none
        "total_num_steps": lr_decay_iters or train_iters,
    }
    return {"type": "WarmupDecayLR", "params": params}
