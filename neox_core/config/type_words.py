"""Types and ranges as a user would say them."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from neox_core.config.plain import shown

_BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
"""A constraint of pydantic's, and how it is written."""


def bounds_in_words(constraints: Iterable[Any]) -> str:
    """`> 0 and <= 1`, or nothing."""
    return " and ".join(
        f"{sign} {getattr(constraint, attribute)}"
        for constraint in constraints
        for attribute, sign in _BOUNDS
        if getattr(constraint, attribute, None) is not None
    )


def type_in_words(annotation: Any) -> str:
    """A type as a user would say it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        inner, *facts = arguments
        constraints = [constraint for fact in facts for constraint in getattr(fact, "metadata", [fact])]
        return f"{type_in_words(inner)} {bounds_in_words(constraints)}".rstrip()
    simple = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        type(None): "null",
        Any: "anything",
        dict: "a mapping",
    }
    if (known := origin or annotation) in simple:
        return simple[known]
    if origin is Literal:
        words = [choice if isinstance(choice, str) else shown(choice) for choice in arguments]
        return f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    if origin in (typing.Union, types.UnionType):
        wider = [argument for argument in arguments if argument is not int or float not in arguments]
        return " or ".join(type_in_words(option) for option in sorted(wider, key=lambda option: option is type(None)))
    if origin in (list, tuple):
        fixed = origin is tuple and arguments[-1] is not ...
        return _items_in_words(arguments) if fixed else f"a list of {_plural(type_in_words(arguments[0]))}"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _items_in_words(items: Sequence[Any]) -> str:
    words = [type_in_words(item) for item in items]
    return f"{len(words)} {_plural(words[0])}" if len(set(words)) == 1 < len(words) else f"[{', '.join(words)}]"


def _plural(words: str) -> str:
    plurals = {"a whole number": "whole numbers", "a number": "numbers", "text": "texts", "anything": "values"}
    return next((plural + words[len(word) :] for word, plural in plurals.items() if words.startswith(word)), words)
