"""DeepSpeed's configuration, from the settings of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neox_core.config.compatibility import reproduces
from neox_core.config.deepspeed_names import NAMES_OF_GPT_NEOX
from neox_core.config.groups import DeepSpeedSettings
from neox_core.config.resolved import Batch, OptimizerChoice, Precision
from neox_core.errors import Notice, Problem, SettingsError

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

OWN_KEYS = frozenset({"bf16", "bfloat16", "fp16", "optimizer", "scheduler"})
"""Keys of DeepSpeed's configuration that other settings decide, also where they leave them out; `bfloat16` is an old `bf16`."""

NOT_PASSED_ON = frozenset(
    {"deepspeed_extra_args", "zero_optimization", "zero_allow_untested_optimizer", "scheduler", "autotuning"}
)
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


def deepspeed_json(
    args: NeoXArgs, batch: Batch, precision: Precision, optimizer: OptimizerChoice, notices: list[Notice]
) -> dict[str, Any]:
    """What DeepSpeed is configured with: what was resolved, the keys of its own that were given, `deepspeed_extra_args`.

    Args:
        args: the settings.
        batch: samples in a step.
        precision: number format of parameters.
        optimizer: which optimizer.
        notices: are added to.

    Raises:
        SettingsError: an extra argument repeats a key that is set elsewhere.
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
    if args.gradient_clipping == 1.0 and reproduces(args.compat, "clipping-left-out"):
        del json["gradient_clipping"]
    if optimizer.name == "onebitadam":
        json["scheduler"] = _one_bit_schedule(args, optimizer, notices)
    return json | _extra(args, json)


def _given(args: NeoXArgs) -> dict[str, Any]:
    """The given keys that are DeepSpeed's own, in its words."""
    keys = set(DeepSpeedSettings.model_fields) - NOT_PASSED_ON
    known = args.ownership.keys
    values = {
        key: getattr(args, key) for key in sorted(keys) if key in args and not (known[key].pending or known[key].unused)
    }
    return {key: value for key, value in values.items() if value != known[key].default}


def _zero(args: NeoXArgs, precision: Precision) -> dict[str, Any]:
    zero = {"stage": 0, **(ZERO_DEFAULTS if args.zero_optimization is None else args.zero_optimization)}
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


def _one_bit_schedule(args: NeoXArgs, optimizer: OptimizerChoice, notices: list[Notice]) -> dict[str, Any]:
    """DeepSpeed's schedule for its 1-bit Adam, as GPT-NeoX sets it."""
    steps = args.train_iters or 0
    if "lr_decay_style" in args:
        message = "has no effect with optimizer OneBitAdam, whose rate follows DeepSpeed's WarmupDecayLR"
        notices.append(Notice(keys=("lr_decay_style",), message=message))
    params = {
        "warmup_min_lr": 0,
        "warmup_max_lr": optimizer.lr,
        "warmup_num_steps": int(steps * args.warmup),
        "total_num_steps": args.lr_decay_iters or steps,
    }
    return {"type": "WarmupDecayLR", "params": params}


def _extra(args: NeoXArgs, json: dict[str, Any]) -> dict[str, Any]:
    """`deepspeed_extra_args`, none of which is set elsewhere unless by a default of ours."""
    extra: dict[str, Any] = args.deepspeed_extra_args or {}
    decided = (set(json) | OWN_KEYS) - {"zero_allow_untested_optimizer"}
    clashes = [key for key in extra if key in decided or key in args]
    if not clashes:
        return extra
    message = "; ".join(_clash(args, key) for key in clashes)
    others = tuple(origin for key in clashes if (origin := args.origin(key)))
    remedy = "keep one of the two" if others else "write it as that key"
    raise SettingsError([Problem(keys=("deepspeed_extra_args",), message=message, remedy=remedy, others=others)])


def _clash(args: NeoXArgs, key: str) -> str:
    origin = args.origin(key)
    return f"{key}: also set in {origin}" if origin else f"{key}: has a key of its own"
