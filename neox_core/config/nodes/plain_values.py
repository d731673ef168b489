"""What a plain list and plain text stand for where a parameter is annotated: `[1, 2]` for a tuple, `a/b` for a path."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from neox_core.config.type_options import options


def meant_by_list(annotations: Iterable[Any]) -> type:
    """`tuple`, `set` or `frozenset` where an annotation allows that and no list; else `list`."""
    found = _only(list, (tuple, set, frozenset), annotations)
    return found or list


def meant_by_text(annotations: Iterable[Any]) -> type:
    """`Path` or a class of enum where an annotation allows that and no text; else `str`."""
    found = _only(str, (Path, Enum), annotations)
    return found or str


def _only(plain: type, others: tuple[type, ...], annotations: Iterable[Any]) -> type | None:
    """The one class among what annotations allow that is one of `others`; None where `plain` may be meant as well."""
    allowed = [typing.get_origin(option) or option for annotation in annotations for option in options(annotation)]
    found = set()
    for option in allowed:
        if _admits(option, plain):
            return None
        if option in others or (Enum in others and issubclass(option, Enum)):
            found.add(option)
    return found.pop() if len(found) == 1 else None


def _admits(option: Any, plain: type) -> bool:
    """Whether a value of type `plain` may be meant; also where that cannot be told (`Any`, `Literal`, protocols)."""
    try:
        return not isinstance(option, type) or issubclass(plain, option)
    except TypeError:
        return True
