"""Annotations of parameters that are a node where they are not given: `model: OptionalDefaultConfig[M] = None`."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeVar

from neox_core.config.nodes.annotations import classes_called_in, classes_in

T = TypeVar("T")


class OptionalDefault(NamedTuple):
    """Marks an annotation: a parameter that is not given becomes a node of the annotated class."""

    partial: bool = False
    """Whether that is a `Partial`."""


OptionalDefaultConfig = Annotated[T | None, OptionalDefault()]
"""A `Config(T)` is put where the parameter is not given when the node is made; None stays None."""

OptionalDefaultPartial = Annotated[Callable[..., T] | None, OptionalDefault(partial=True)]
"""A `Partial(T)`, which becomes a callable, is put where the parameter is not given when the node is made; None stays None."""


def optional_default(annotation: Any) -> tuple[OptionalDefault, type] | None:
    """The mark of an annotation and the class that it is about, where it has one."""
    marks = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, OptionalDefault)]
    found = classes_called_in if marks and marks[0].partial else classes_in
    classes = found(typing.get_args(annotation)[0]) if marks else []
    return (marks[0], classes[0]) if classes else None
