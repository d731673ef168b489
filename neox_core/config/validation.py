"""From pydantic's complaints and unknown keys to problems that a user can act on."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from neox_core.config import elsewhere
from neox_core.config.absent import declares
from neox_core.config.entry import Entry
from neox_core.config.ownership import CORE, Owner, Ownership
from neox_core.config.plain import shown
from neox_core.config.settings import Settings
from neox_core.config.type_words import bounds_in_words, type_in_words
from neox_core.errors import Problem, nearest

OPTIMIZER_OPTIONS = frozenset({"betas", "eps", "freeze_step", "learning_rate", "momentum", "params", "type"})
"""Names within `optimizer` that are written at the top by mistake."""


def unknown_key(entry: Entry, ownership: Ownership) -> Problem:
    """The problem of a key that no group owns."""
    message, remedy = nearest_key(entry.key, ownership)
    return Problem(keys=(entry.key,), message=message, remedy=remedy, origin=entry.origin)


def nearest_key(name: str, ownership: Ownership) -> tuple[str, str]:
    """That there is no such key, and what to do: switch on the plugin that declares it, or choose the nearest one."""
    off = next((plugin for plugin in ownership.switched_off if declares(plugin, name)), None)
    message = "there is no such setting"
    if off is not None:
        message += f"; {off.source.qualified} has it, which is {off.availability.reason}"
    if off is not None and off.availability.remedy:
        return message, off.availability.remedy
    message = "; ".join([message, *ownership.broken])
    if places := _places_within(name):
        return message, f"it belongs into {' or '.join(places)}"
    if close := elsewhere.KEYS.get(name.casefold()) or nearest(name, [*ownership.by_key, *ownership.aliases]):
        return message, f"did you mean '{close}'?"
    return message, "`neox plugins` lists what is installed"


def _places_within(name: str) -> list[str]:
    """Keys whose mappings have this name."""
    from neox_core.config.deepspeed_options import DEEPSPEED_OPTIONS  # only after a mistake

    if name in OPTIMIZER_OPTIONS:
        return ["optimizer: {type: ..., params: {lr: ...}}"]
    return [key for key, options in DEEPSPEED_OPTIONS.items() if name in options.types][:3]


def claimed_twice(entry: Entry, owners: Sequence[Owner]) -> Problem:
    """The problem of a key that several groups own."""
    providers = [owner.provider for owner in owners]
    added = [provider.partition(" ")[0] for provider in providers if provider != CORE]
    return Problem(
        keys=(entry.key,),
        message=f"is claimed by {' and '.join(providers)}",
        remedy=f"do without one: `plugin_disable: [{added[-1]}]`",
        origin=entry.origin,
    )


def group_problems(error: ValidationError, group: type[Settings], given: Mapping[str, Entry]) -> list[Problem]:
    """One problem for each key that a group refuses, and for each rule over several keys of a group."""
    found: dict[str, ErrorDetails] = {}
    problems = []
    for detail in error.errors():
        if detail["loc"]:
            found.setdefault(str(detail["loc"][0]), detail)
        else:
            places = [entry.origin for entry in given.values()]
            first, others = (places[0], tuple(places[1:])) if places else (None, ())
            problems.append(Problem(keys=tuple(given), message=_complaint(detail), origin=first, others=others))
    return problems + [_problem(key, detail, group, given.get(key)) for key, detail in found.items()]


def _complaint(detail: ErrorDetails) -> str:
    """What a validator said, without pydantic's own words where it raised the error itself."""
    return str(detail["ctx"]["error"]) if detail["type"] == "value_error" else detail["msg"]


def _problem(key: str, detail: ErrorDetails, group: type[Settings], entry: Entry | None) -> Problem:
    if entry is None:
        field = group.model_fields[key]
        if not field.is_required():
            message = f"its default {shown(field.get_default(call_default_factory=True))} is not {allowed(group, key)}"
            return Problem(keys=(key,), message=message, remedy=f"a defect of {group.__module__}; set it")
        description = field.description
        return Problem(keys=(key,), message="must be given", remedy=f"{description}; {allowed(group, key)}")
    value = f"{shown(entry.value)}, given as {entry.former}," if entry.former else shown(entry.value)
    message = f"{value} is not {allowed(group, key)}"
    close = _nearest_choice(group, key, entry.value)
    meant = close or _choice_of_neighbour(group, key, entry.value)
    remedy = f"did you mean '{meant}'?" if meant else None
    if detail["type"] == "value_error":
        message = f"{value}: {_complaint(detail)}"
    return Problem(keys=(key,), message=message, remedy=remedy, origin=entry.origin)


def allowed(group: type[BaseModel], key: str) -> str:
    """What a key takes, in words: `a whole number > 0`, `one of fp32, fp16, bfloat16 or null`."""
    field = group.model_fields[key]
    words, null, _ = type_in_words(field.annotation).partition(" or null")
    return f"{words} {bounds_in_words(field.metadata)}".rstrip() + null


def _nearest_choice(group: type[Settings], key: str, value: Any) -> str | None:
    if isinstance(value, str) and (known := elsewhere.VALUES.get(key, {}).get(value.casefold())):
        return known
    if not isinstance(value, str) or not value:
        return None
    choices = _choices(group, key)
    return next((choice for choice in choices if _abbreviates(value, choice)), None) or nearest(value, choices)


def _choices(group: type[Settings], key: str) -> list[str]:
    annotation = group.model_fields[key].annotation
    literals = [annotation, *typing.get_args(annotation)]
    return [str(c) for literal in literals if typing.get_origin(literal) is Literal for c in typing.get_args(literal)]


def _choice_of_neighbour(group: type[Settings], key: str, value: Any) -> str | None:
    """`checkpoint_scale: log` for `checkpoint_factor: log`: what is a choice of a key that begins with the same word."""
    word = key.partition("_")[0] + "_"
    neighbours = (other for other in group.model_fields if other != key and other.startswith(word))
    return next((f"{other}: {value}" for other in neighbours if value in _choices(group, other)), None)


def _abbreviates(short: str, long: str) -> bool:
    """Whether all letters of the one are in the other, in order: BF16 in bfloat16."""
    letters = iter(long.casefold())
    return all(letter in letters for letter in short.casefold())
