"""Values that mean what a key takes without being spelt so: `1e5` for a whole number, `GELU` for one of `gelu, relu`."""

from __future__ import annotations

import re
import typing
from typing import Any, Literal

from neox_core.config.type_options import options as alternatives

_GROUPED = re.compile(r"[-+]?\d+(_\d+)+")


def fitted(value: Any, annotation: Any) -> Any:
    """`value` as a key of this type would have it, or unchanged where it means nothing else.

    Numbers without a fraction become whole where only whole numbers are taken, and so do digits in groups (`320_000`, a number
    in YAML 1.1). Words are compared with the choices without regard to case and blanks around them. Items of lists likewise.
    """
    options = tuple(alternatives(annotation))
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


def _choices(option: Any) -> tuple[Any, ...]:
    return typing.get_args(option) if typing.get_origin(option) is Literal else ()
