"""Dictionaries of DeepSpeed's configuration held against what it has in them, however deep."""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from neox_core.config.deepspeed_options import Options
from neox_core.config.plain import shown
from neox_core.config.type_words import type_in_words
from neox_core.errors import Problem, nearest

EXTRA = "deepspeed_extra_args"

RULED = "zero_optimization.stage"
"""The place whose value has a rule of its own."""


def option_problems(
    place: str, given: Mapping[str, Any], options: Options, others: Collection[str] = ()
) -> Iterator[Problem]:
    """A problem for each name that DeepSpeed does not know, and for each value that it cannot read.

    Args:
        place: the key of the dictionary, or its place within `deepspeed_extra_args`.
        given: the dictionary.
        options: what DeepSpeed has there.
        others: names that may stand there too, whatever their values.
    """
    for name, value in given.items():
        inner, kind = f"{place}.{name}", options.types.get(name)
        if name in others or inner == RULED:
            continue
        if name not in options.types:
            yield _unknown(place, name, options)
        elif isinstance(kind, Options) and isinstance(value, dict):
            yield from option_problems(inner, value, kind)
        elif not options.fits(name, value):
            yield _unread(inner, value, kind)


def _unknown(place: str, name: str, options: Options) -> Problem:
    close = nearest(name, options.types)
    message = f"{name!r} is not an option of DeepSpeed's {place.removeprefix(f'{EXTRA}.')}"
    return _problem(f"{place}.{name}", message, f"did you mean '{close}'?" if close else "remove it")


def _unread(place: str, value: Any, kind: Any) -> Problem:
    if isinstance(kind, Options):
        kind = dict | None if kind.null else dict
    remedy = None
    if isinstance(value, float) and value.is_integer():
        remedy = f"write {int(value)}"
    elif isinstance(value, str) and (close := nearest(value, _choices(kind))):
        remedy = f"did you mean '{close}'?"
    path = place.partition(".")[2]
    return _problem(place, f"{path}: {shown(value)} is not {type_in_words(kind)}", remedy)


def _choices(kind: Any) -> list[str]:
    """The words that a type takes."""
    if typing.get_origin(kind) is Literal:
        return [choice for choice in typing.get_args(kind) if isinstance(choice, str)]
    return [choice for part in typing.get_args(kind) for choice in _choices(part)]


def _problem(place: str, message: str, remedy: str | None) -> Problem:
    key, _, path = place.partition(".")
    return Problem(keys=(key,), message=message, remedy=remedy, path=path)
