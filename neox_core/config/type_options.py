"""The alternatives of a type."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any


def options(annotation: Any) -> Iterator[Any]:
    """`M` and `list[M]` of `Annotated[M | list[M] | None, ...]`; not None."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        yield from options(arguments[0])
    elif origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from options(argument)
    elif annotation not in (None, type(None)):
        yield annotation
