"""Rules about the dictionaries that are handed to DeepSpeed: what it would refuse or ignore is found before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from neox_core.config.deepspeed_names import DEEPSPEED_NAMES, NAMES_OF_GPT_NEOX, OF_OTHER_GROUPS, ZERO_VALUES
from neox_core.config.groups import BatchSettings, DeepSpeedSettings, GivenUpSettings
from neox_core.config.precision import precisions_asked_for
from neox_core.config.validation import shown, type_in_words
from neox_core.config.world import World
from neox_core.errors import Notice, Problem, nearest

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

_DECIDED = {
    *OF_OTHER_GROUPS,
    *BatchSettings.model_fields,
    *("autotuning", "steps_per_print", "zero_force_ds_cpu_optimizer", "zero_optimization"),
}
"""What `deepspeed_json` always says, or leaves out, by itself."""


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
    elif stage > 1:
        message = f"stage {stage}: this version has stages 0 and 1"
        yield Problem(keys=keys, message=message, remedy="set stage: 1", limitation=True, path="stage")


def zero_takes_the_values(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """ZeRO's options have values that DeepSpeed reads; it takes `auto` for its default."""
    for name, value in (args.zero_optimization or {}).items():
        if name in ZERO_VALUES and value != "auto" and not _is_read(value, ZERO_VALUES[name]):
            message = f"{name}: {shown(value)} is not {type_in_words(ZERO_VALUES[name])}"
            yield Problem(keys=("zero_optimization",), message=message, path=name)


def _is_read(value: Any, kind: Any) -> bool:
    """Whether DeepSpeed makes a value of the type of this one: `5e8` is a whole number, and 1 is true."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def precision_is_available(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed has no fp16 on CPUs."""
    if "fp16" in precisions_asked_for(args) and world.device == "cpu":
        yield Problem(
            keys=("precision" if args.precision == "fp16" else "fp16",),
            message="fp16 cannot be trained on a CPU: DeepSpeed refuses it",
            remedy="use precision: bfloat16 or fp32, such as `neox train ... precision=bfloat16 fp16=null`",
            limitation=True,
        )


def deepspeed_knows_the_names(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed has each option of the dictionaries that are handed to it."""
    for key in DEEPSPEED_NAMES:
        yield from _unknown_names(key, getattr(args, key), (key,), "")
    for key, value in (args.deepspeed_extra_args or {}).items():
        yield from _unknown_names(key, value, ("deepspeed_extra_args",), f"{key}.")


def _unknown_names(key: str, value: Any, keys: tuple[str, ...], path: str) -> Iterator[Problem]:
    known = DEEPSPEED_NAMES.get(key)
    if known is None or not isinstance(value, dict):
        return
    for name in sorted(set(value) - known - NAMES_OF_GPT_NEOX.get(key, frozenset())):
        close = nearest(name, known)
        yield Problem(
            keys=keys,
            message=f"{name!r} is not an option of DeepSpeed's {key}",
            remedy=f"did you mean '{close}'?" if close else "remove it",
            path=f"{path}{name}",
        )


def extra_arguments_are_deepspeeds(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed has each of `deepspeed_extra_args`; what it knows by no name does nothing."""
    groups = (DeepSpeedSettings, BatchSettings, GivenUpSettings)
    known = {*OF_OTHER_GROUPS, *(name for group in groups for name in group.model_fields)}
    for key in sorted(set(args.deepspeed_extra_args or {}) - known):
        close = nearest(key, known)
        yield Problem(
            keys=("deepspeed_extra_args",),
            message=f"{key!r} is no key of DeepSpeed's configuration",
            remedy=f"did you mean '{close}'?" if close else "remove it",
            path=key,
        )


def extra_arguments_repeat_nothing(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """None of `deepspeed_extra_args` is set elsewhere, unless by a default of ours."""
    clashes = [key for key in args.deepspeed_extra_args or {} if key in _DECIDED or key in args]
    if not clashes:
        return
    others = tuple(origin for key in clashes if (origin := args.origin(key)))
    yield Problem(
        keys=("deepspeed_extra_args",),
        message="; ".join(_clash(args, key) for key in clashes),
        remedy="keep one of the two" if others else "write it as that key",
        others=others,
    )


def _clash(args: NeoXArgs, key: str) -> str:
    origin = args.origin(key)
    return f"{key}: also set in {origin}" if origin else f"{key}: has a key of its own"


def given_up_parts_are_not_asked_for(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """What DeepSpeed does not have any more would change what is computed."""
    extra = args.deepspeed_extra_args or {}
    for key in GivenUpSettings.model_fields:
        for keys, value in (((key,), getattr(args, key)), (("deepspeed_extra_args",), extra.get(key))):
            if value is True or (isinstance(value, dict) and value.get("enabled", bool(value)) is not False):
                yield Problem(
                    keys=keys,
                    message=f"{key}: DeepSpeed has it no more" if keys != (key,) else "DeepSpeed has it no more",
                    remedy="remove it",
                    limitation=True,
                    path=None if keys == (key,) else key,
                )


def autotuner_is_not_run(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed's engine ends a run that its autotuner did not start."""
    if (args.autotuning or {}).get("enabled") is True:
        message = "DeepSpeed's autotuner is not run by this version"
        yield Problem(keys=("autotuning",), message=message, remedy="remove it", limitation=True)


def precisions_are_switched(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The dictionaries of number formats say `enabled`, and their options are numbers or switches."""
    for key in ("fp16", "bf16"):
        options = getattr(args, key)
        if options is None:
            continue
        if not isinstance(options.get("enabled"), bool):
            given = (
                f"enabled: {options['enabled']!r} is not true or false"
                if "enabled" in options
                else "does not say enabled"
            )
            yield Problem(keys=(key,), message=given, remedy="write enabled: true or enabled: false", path="enabled")
        for name, value in options.items():
            if name not in ("enabled", "type") and not isinstance(value, bool | int | float):
                message = f"{name}: {value!r} is neither a number nor true or false"
                yield Problem(keys=(key,), message=message, path=name)


def fp16_is_fp16(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The fp16 dictionary is of no other number format."""
    kind = (args.fp16 or {}).get("type", "fp16")
    if kind not in ("fp16", "bfloat16"):
        remedy = "write `precision`: fp32, fp16 or bfloat16"
        yield Problem(keys=("fp16",), message=f"type: {kind!r} is not 'fp16'", remedy=remedy, path="type")


def overflow_is_checked(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A step whose gradient is not finite is skipped, in bfloat16 too; with ZeRO 1 its norm tells."""
    for key, name in (("bf16", "check_grad_overflow"), ("zero_optimization", "compute_grad_norm")):
        checked = (getattr(args, key) or {}).get(name, True)
        if checked is not True:
            yield Problem(
                keys=(key,),
                message=f"{name}: {checked!r} would let steps with gradients that are not finite spoil the weights",
                remedy="leave it out; max_skipped_steps says when a run gives up",
                path=name,
            )


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


def one_bit_adam_has_its_schedule(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """DeepSpeed's 1-bit Adam comes with DeepSpeed's schedule, see `deepspeed_json`."""
    name = (args.optimizer or {}).get("type")
    if isinstance(name, str) and name.casefold() == "onebitadam" and "lr_decay_style" in args:
        message = "has no effect with optimizer OneBitAdam, whose rate follows DeepSpeed's WarmupDecayLR"
        yield Notice(keys=("lr_decay_style",), message=message)


DEEPSPEED_RULES = (
    zero_has_a_stage,
    zero_takes_the_values,
    precision_is_available,
    precisions_are_switched,
    fp16_is_fp16,
    overflow_is_checked,
    deepspeed_knows_the_names,
    extra_arguments_are_deepspeeds,
    extra_arguments_repeat_nothing,
    given_up_parts_are_not_asked_for,
    autotuner_is_not_run,
)
DEEPSPEED_NOTICES = (names_of_gpt_neox_say_nothing, reduced_precision_needs_zero, one_bit_adam_has_its_schedule)
