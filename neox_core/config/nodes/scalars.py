"""Text, numbers, true, false and null, where an annotation says which of them is meant: `123` can be a name."""

from __future__ import annotations

import sys
import typing
from enum import Enum
from pathlib import PurePath
from types import NoneType
from typing import Any, Final, Literal

from neox_core.config.fitting import fitted
from neox_core.config.nodes.given import Scalar
from neox_core.config.nodes.problems import NodeError
from neox_core.config.type_options import options
from neox_core.errors import did_you_mean

NOTHING: Final = object()
"""No choice."""


def allowed_by(annotations: list[Any]) -> list[Any]:
    """The alternatives of annotations, without None; nothing where they allow all or say nothing."""
    found = [option for annotation in annotations for option in options(annotation)]
    return [] if Any in found or object in found else found


def scalar(given: Scalar, annotations: list[Any]) -> Any:
    """The value that is meant; as YAML has it where no annotation wants it otherwise, or it does not fit.

    Raises:
        NodeError: only the names or values of an enumeration or a `Literal` are allowed, and it is none.
    """
    allowed = allowed_by(annotations)
    found = choice(given, allowed)
    if found is not NOTHING:
        return found
    null = any(NoneType in (item, *typing.get_args(item)) for item in annotations)
    if null and (given.value is None or _is_pythons_none(given, allowed)):
        return None
    _refuse(given, allowed)
    for annotation in annotations:
        if (found := fitted(given.value, annotation)) is not given.value:
            return found
    return _of_type(given, allowed)


def _is_pythons_none(given: Scalar, allowed: list[Any]) -> bool:
    """Whether `None` was written where null may stand, and text may not."""
    return given.text == "None" and not given.quoted and bool(allowed) and str not in allowed


def choice(given: Scalar, allowed: list[Any]) -> Any:
    """The member of an enumeration that is named, or has this value; the item of a `Literal`. Else `NOTHING`.

    Names and text are compared without regard to case where none is the same.
    """
    choices = [item for option in allowed for item in _choices(option)]
    words = [(word, item) for item in choices for word in _words(item)]
    for word, item in words:
        if word == given.text or (type(word) is type(given.value) and word == given.value):
            return item
    folded = given.text.casefold()
    return next((item for word, item in words if isinstance(word, str) and word.casefold() == folded), NOTHING)


def _choices(option: Any) -> list[Any]:
    if isinstance(option, type) and issubclass(option, Enum):
        return list(option.__members__.values())
    return list(typing.get_args(option)) if typing.get_origin(option) is Literal else []


def _words(item: Any) -> list[Any]:
    """What a choice is called: its name and its value."""
    return [item.name, item.value] if isinstance(item, Enum) else [item]


def _refuse(given: Scalar, allowed: list[Any]) -> None:
    """Refuse what is none of the choices, where there is nothing but choices."""
    if allowed and all(_choices(option) for option in allowed):
        names = [str(_words(item)[0]) for option in allowed for item in _choices(option)]
        raise NodeError(f"'{given.text}' is none of those that are allowed; {did_you_mean(given.text, names)}")


def _of_type(given: Scalar, allowed: list[Any]) -> Any:
    """The value, or the text, or what a type makes of them."""
    value = given.value
    if not allowed or type(value) in allowed:
        return value
    if str in allowed:
        return given.text
    if type(value) is int and float in allowed and abs(value) <= sys.float_info.max:
        return float(value)
    if type(value) is int and bool in allowed and value in (0, 1):
        return bool(value)
    paths = [option for option in allowed if isinstance(option, type) and issubclass(option, PurePath)]
    return paths[0](given.text) if paths and value is not None else value
