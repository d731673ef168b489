"""Rules about the dictionaries that are handed to DeepSpeed: what it would refuse or ignore is found before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from neox_core.config.deepspeed_names import NAMES_OF_GPT_NEOX
from neox_core.config.deepspeed_options import DEEPSPEED_OPTIONS
from neox_core.config.disk_rules import DISK_RULES
from neox_core.config.extra_args import EXTRA_NOTICES, EXTRA_RULES
from neox_core.config.groups import GivenUpSettings
from neox_core.config.groups.given_up import is_asked_for
from neox_core.config.offload_rules import OFFLOAD_NOTICES, OFFLOAD_RULES
from neox_core.config.optimizer_choice import optimizer_name
from neox_core.config.option_checks import option_problems
from neox_core.config.precision import BY_NAME, precisions_asked_for
from neox_core.config.schedule_rules import has_one_bit_schedule
from neox_core.config.world import World
from neox_core.errors import Notice, Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

ZERO_STAGES = (0, 1, 2, 3)
"""Those that there are."""

UNASKED = (None, False, 0, "auto")
"""Values with which an option of DeepSpeed's is as if it were left out."""


def zero_has_a_stage(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """ZeRO's dictionary says its stage: one of 0 to 3, or those that DeepSpeed's autotuner is to try."""
    if args.zero_optimization is None:
        return
    stage = args.zero_optimization.get("stage")
    keys = ("zero_optimization",)
    if args.autotuning is not None and (stage == "all" or isinstance(stage, list)):
        yield Problem(
            keys=("autotuning", "zero_optimization"),
            message=f"stage {stage!r} is for DeepSpeed's autotuner, which this version does not run",
            remedy="give one stage",
            limitation=True,
        )
    elif isinstance(stage, bool) or not isinstance(stage, int) or stage not in range(4):
        missing = "has no stage" if stage is None else f"stage {stage!r} is not one of the whole numbers 0, 1, 2, 3"
        remedy = "add a stage, such as stage: 1" if stage is None else "write one of them, without quotes"
        yield Problem(keys=keys, message=missing, remedy=remedy, path="stage")


def dictionaries_hold_options(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed has each option of the dictionaries that are handed to it, and reads its value."""
    for key, options in DEEPSPEED_OPTIONS.items():
        if value := getattr(args, key):
            yield from option_problems(key, value, options, NAMES_OF_GPT_NEOX.get(key, frozenset()))


def given_up_parts_are_not_asked_for(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """What DeepSpeed does not have any more would change what is computed."""
    for key in GivenUpSettings.model_fields:
        if is_asked_for(getattr(args, key)):
            yield Problem(keys=(key,), message="DeepSpeed has it no more", remedy="remove it", limitation=True)


def autotuner_is_not_run(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed's engine ends a run that its autotuner did not start."""
    if (args.autotuning or {}).get("enabled") is True:
        message = "DeepSpeed's autotuner is not run by this version"
        yield Problem(keys=("autotuning",), message=message, remedy="remove it", limitation=True)


def zero_computes_the_same(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Options by which ZeRO would train otherwise, keep what is saved elsewhere, or not work with what a model is made of here."""
    zero = args.zero_optimization or {}
    names = [
        "zero_quantized_weights",
        "zero_quantized_gradients",
        "zero_quantized_nontrainable_weights",
        "legacy_stage1",
    ]
    names += ["stage3_module_granularity_threshold"] if zero.get("stage") == 3 else []
    asked = [name for name in names if zero.get(name) not in UNASKED]
    asked += ["zenflow"] if zero.get("zenflow") is not None else []
    leaves, offload = zero.get("leaf_module"), zero.get("offload_optimizer")
    if isinstance(leaves, dict) and any(leaves.values()) and zero.get("stage") == 3:
        asked.append("leaf_module")
    if isinstance(offload, dict) and offload.get("super_offload") not in UNASKED:
        asked.append("offload_optimizer.super_offload")
    for name in asked:
        message = f"{name}: this version does not have it"
        yield Problem(keys=("zero_optimization",), message=message, remedy="leave it out", limitation=True, path=name)


def copies_of_pieces_are_of_the_same_weights(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """ZeRO 3 may keep second copies of pieces among neighbouring ranks, as if all ranks had the same weights."""
    zero, name = args.zero_optimization or {}, "zero_hpz_partition_size"
    size, ranks = zero.get(name), args.model_parallel_size
    if zero.get("stage") != 3 or not isinstance(size, int) or size <= 1:
        return
    if ranks > 1:
        yield Problem(
            keys=("zero_optimization", "model_parallel_size"),
            message=f"{name}: {size} has neighbouring ranks share copies of their weights, and with model_parallel_size {ranks} they "
            "have different ones",
            remedy="leave it out, or set model_parallel_size: 1",
            limitation=True,
            path=name,
        )
    elif world.size % min(size, world.size):
        yield Problem(
            keys=("zero_optimization",),
            message=f"{name}: {world.size} ranks cannot be cut into groups of {size}",
            remedy="use a divisor of the ranks",
            path=name,
        )


def precisions_are_switched(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The dictionaries of number formats say `enabled`, but for that of the format that `precision` names."""
    for key in ("fp16", "bf16"):
        options = getattr(args, key)
        named = args.precision is not None and BY_NAME[args.precision] == key
        if options is not None and "enabled" not in options and not named:
            remedy = "write enabled: true or enabled: false"
            yield Problem(keys=(key,), message="does not say enabled", remedy=remedy)


def fp16_is_fp16(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The fp16 dictionary is of no other number format."""
    kind = (args.fp16 or {}).get("type", "fp16")
    if kind not in ("fp16", "bfloat16"):
        remedy = "write `precision`: fp32, fp16 or bfloat16"
        yield Problem(keys=("fp16",), message=f"type: {kind!r} is not 'fp16'", remedy=remedy, path="type")


def overflow_is_checked(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A step whose gradient is not finite is skipped, in bfloat16 too; with ZeRO 1 its norm tells."""
    for key, name in (("bf16", "check_grad_overflow"), ("zero_optimization", "compute_grad_norm")):
        given = (getattr(args, key) or {}).get(name, True)
        if _is_false(given):
            yield Problem(
                keys=(key,),
                message=f"{name}: {given!r} would let steps with gradients that are not finite spoil the weights",
                remedy="leave it out; max_skipped_steps says when a run gives up",
                path=name,
            )


def _is_false(value: object) -> bool:
    """Whether DeepSpeed reads a value as false: 0 and `no` too."""
    try:
        return TypeAdapter(bool).validate_python(value) is False
    except ValidationError:
        return False


def names_of_gpt_neox_say_nothing(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Some files for GPT-NeoX have names in the dictionaries of number formats that DeepSpeed does not read there."""
    for key, names in NAMES_OF_GPT_NEOX.items():
        given = sorted(set(getattr(args, key) or {}) & names)
        if given:
            yield Notice(keys=(key,), message=f"{', '.join(given)}: no effect in this dictionary")


def reduced_precision_needs_zero(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """ZeRO 0 is 1 there, see `deepspeed_json`."""
    if precisions_asked_for(args) - {"fp32"} and (args.zero_optimization or {}).get("stage") == 0:
        yield Notice(
            keys=("zero_optimization",),
            message="stage 0 is stage 1 in reduced precision; on one rank they are the same",
        )


def fp16_is_slow_on_cpus(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Few processors have instructions for it."""
    if precisions_asked_for(args) == {"fp16"} and world.device == "cpu":
        yield Notice(
            keys=("precision" if args.precision == "fp16" else "fp16",),
            message="fp16 is slow on CPUs; `neox train ... precision=fp32 fp16=null` trains faster there",
        )


def one_bit_adam_has_its_schedule(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """In GPT-NeoX it comes with DeepSpeed's schedule, see `deepspeed_json`."""
    if "lr_decay_style" in args and has_one_bit_schedule(optimizer_name(args), args.compat):
        message = "has no effect with optimizer OneBitAdam, whose rate follows DeepSpeed's WarmupDecayLR"
        yield Notice(keys=("lr_decay_style",), message=message)


def pipelines_have_no_options(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """What DeepSpeed's dictionary of pipelines is about follows from other settings."""
    if args.pipeline:
        message = "has no effect: stages, recomputation and what stages exchange follow from the other settings"
        yield Notice(keys=("pipeline",), message=message)


DEEPSPEED_RULES = (
    zero_has_a_stage,
    precisions_are_switched,
    fp16_is_fp16,
    overflow_is_checked,
    *DISK_RULES,
    *OFFLOAD_RULES,
    zero_computes_the_same,
    copies_of_pieces_are_of_the_same_weights,
    dictionaries_hold_options,
    given_up_parts_are_not_asked_for,
    autotuner_is_not_run,
    *EXTRA_RULES,
)
DEEPSPEED_NOTICES = (
    names_of_gpt_neox_say_nothing,
    reduced_precision_needs_zero,
    fp16_is_slow_on_cpus,
    one_bit_adam_has_its_schedule,
    pipelines_have_no_options,
    *EXTRA_NOTICES,
    *OFFLOAD_NOTICES,
)
