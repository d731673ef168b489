"""Values that mean what a key takes without being spelt so: `1e5` for a whole number, `GELU` for one of `gelu, relu`."""

from __future__ import annotations

import re
import types
import typing
from typing import Annotated, Any, Literal

_GROUPED = re.compile(r"[-+]?\d+(_\d+)+")


def fitted(value: Any, annotation: Any) -> Any:
    """`value` as a key of this type would have it, or unchanged where it means nothing else.

    Numbers without a fraction become whole where only whole numbers are taken, and so do digits in groups (`320_000`, a number
    in YAML 1.1). Words are compared with the choices without regard to case and blanks around them. Items of lists likewise.
    """
    options = _options(annotation)
    if isinstance(value, float) and int in options and float not in options and value.is_integer():
        return int(value)
    if isinstance(value, str) and int in options and str not in options and _GROUPED.fullmatch(value):
        return int(value)
    if isinstance(value, str):
        choices = [choice for option in options for choice in _choices(option) if isinstance(choice, str)]
        return next((choice for choice in choices if choice.casefold() == value.strip().casefold()), value)
    if isinstance(value, list):
        items = next((typing.get_args(option)[0] for option in options if typing.get_origin(option) is list), Any)
        return [fitted(item, items) for item in value]
    return value


def _options(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a type, without what annotates them."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _options(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(option for argument in typing.get_args(annotation) for option in _options(argument))
    return (annotation,)


def _choices(option: Any) -> tuple[Any, ...]:
    return typing.get_args(option) if typing.get_origin(option) is Literal else ()
