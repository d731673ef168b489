"""What `+= -= *= /= |=` make of a value that is there and one that is given."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from neox_core.config.nodes.problems import NodeError

WANTED: Final[Mapping[str, str]] = {
    "+=": "adds numbers, joins text, and puts the items of a list after those of another",
    "-=": "subtracts a number from a number",
    "*=": "multiplies numbers",
    "/=": "divides a number by a number",
    "|=": "puts the keys of a mapping into another",
}
"""The operators, each with what it does."""


def combined(sign: str, old: Any, new: Any) -> Any:
    """A new value of `old` and `new`, as one of `WANTED` says. A whole number stays one when it is divided without a rest.

    Raises:
        NodeError: the operator does not take such values, or there is no number that is the outcome.
    """
    if not _fit(sign, old, new):
        raise NodeError(f"{sign} {WANTED[sign]}; there is {_short(old)}, and {_short(new)} is given")
    if isinstance(old, dict):
        return {**old, **new}
    if isinstance(old, list | tuple):
        return (*old, *new) if isinstance(old, tuple) else [*old, *new]
    try:
        return _CALCULATED[sign](old, new)
    except ZeroDivisionError:
        raise NodeError(f"{_short(old)} cannot be divided by {_short(new)}") from None
    except OverflowError:
        raise NodeError(f"{_short(old)} {sign[0]} {_short(new)} is too large") from None


_short = reprlib.repr  # values can be long


def _fit(sign: str, old: Any, new: Any) -> bool:
    if sign == "|=":
        return isinstance(old, dict) and isinstance(new, dict)
    if _number(old) and _number(new):
        return True
    return sign == "+=" and any(isinstance(old, kind) and isinstance(new, kind) for kind in (str, list | tuple))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _divided(old: Any, new: Any) -> Any:
    whole = isinstance(old, int) and isinstance(new, int) and new and old % new == 0
    return old // new if whole else old / new


_CALCULATED: Mapping[str, Callable[[Any, Any], Any]] = {
    "+=": operator.add,
    "-=": operator.sub,
    "*=": operator.mul,
    "/=": _divided,
}
