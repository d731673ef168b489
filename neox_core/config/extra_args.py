"""Rules about `deepspeed_extra_args`: keys that DeepSpeed has, that nothing else says, and whose values it reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from neox_core.config.deepspeed_names import OF_OTHER_GROUPS
from neox_core.config.deepspeed_options import DEEPSPEED_OPTIONS
from neox_core.config.entry import Entry
from neox_core.config.groups import BatchSettings, DeepSpeedSettings, GivenUpSettings
from neox_core.config.groups.given_up import is_asked_for
from neox_core.config.option_checks import EXTRA, option_problems
from neox_core.config.validation import group_problems
from neox_core.config.world import World
from neox_core.errors import Notice, Origin, Problem, nearest

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

_DECIDED = {
    *OF_OTHER_GROUPS,
    *BatchSettings.model_fields,
    *("autotuning", "steps_per_print", "zero_force_ds_cpu_optimizer", "zero_optimization"),
}
"""What `deepspeed_json` always says, or leaves out, by itself."""

_FREE = set(DeepSpeedSettings.model_fields) - _DECIDED - {EXTRA}
_GIVEN_UP = set(GivenUpSettings.model_fields)


def extra_arguments_fit(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Each extra argument is a key of DeepSpeed's with a value that it takes, and is said here alone; one problem for each."""
    for key, value in (args.deepspeed_extra_args or {}).items():
        if key not in _FREE | _DECIDED | _GIVEN_UP:
            yield _unknown(key, args)
        elif key in _DECIDED or key in args:
            yield _clash(key, args.origin(key))
        elif key in _GIVEN_UP:
            if is_asked_for(value):
                yield _problem(key, f"{key}: DeepSpeed has it no more", "remove it", limitation=True)
        elif args.ownership.keys[key].pending == "refused":
            yield _problem(key, f"{key}: this version does not have it yet", "remove it", limitation=True)
        elif key in DEEPSPEED_OPTIONS and isinstance(value, dict):
            yield from option_problems(f"{EXTRA}.{key}", value, DEEPSPEED_OPTIONS[key])
        else:
            yield from _of_another_type(key, value)


def _unknown(key: str, args: NeoXArgs) -> Problem:
    message, remedy = f"{key!r} is no key of DeepSpeed's configuration", "remove it"
    if key in args.ownership.keys and key not in args:
        remedy = f"write it outside of {EXTRA}"
    elif close := nearest(key, _FREE | _DECIDED):
        remedy = f"did you mean '{close}'?"
    return _problem(key, message, remedy)


def _clash(key: str, origin: Origin | None) -> Problem:
    if origin is None:
        return _problem(key, f"{key}: has a key of its own", "write it as that key")
    return _problem(key, f"{key}: also set in {origin}", "keep one of the two")._replace(others=(origin,))


def _of_another_type(key: str, value: Any) -> list[Problem]:
    try:
        DeepSpeedSettings.model_validate({key: value})
    except ValidationError as error:
        found = group_problems(error, DeepSpeedSettings, {key: Entry(key, value, Origin(source=EXTRA))})
        return [_problem(key, f"{key}: {problem.message}", problem.remedy) for problem in found]
    return []


def _problem(key: str, message: str, remedy: str | None, *, limitation: bool = False) -> Problem:
    return Problem(keys=(EXTRA,), message=message, remedy=remedy, limitation=limitation, path=key)


def given_up_extras_say_nothing(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """DeepSpeed refuses the names of parts that it has given up, even where they are switched off: they are not handed on."""
    for key, value in (args.deepspeed_extra_args or {}).items():
        if key in _GIVEN_UP and not is_asked_for(value):
            origin = args.origin(f"{EXTRA}.{key}")
            yield Notice(keys=(EXTRA,), message=f"{key}: has no effect: DeepSpeed has none any more", origin=origin)


EXTRA_RULES = (extra_arguments_fit,)
EXTRA_NOTICES = (given_up_extras_say_nothing,)
