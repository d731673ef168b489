"""Holding arguments against annotations, all at once; and instances from plain data. Here pydantic is needed."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails

from neox_core.config.nodes.annotations import annotations_of, below, classes_in, returned_by
from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.node import ATOMS, CONTAINERS, Config, Node, Partial, origin_of
from neox_core.config.nodes.parameters import Parameters
from neox_core.config.nodes.problems import WrongArguments
from neox_core.config.nodes.steps import Step, shown
from neox_core.config.nodes.targets import NO_TARGET
from neox_core.config.nodes.tree import located, nodes_within
from neox_core.config.plain import shown as value_in_words
from neox_core.config.type_words import type_in_words
from neox_core.errors import Problem, SettingsError, did_you_mean

T = TypeVar("T")


def validate(root: Any, *, complete: bool = True) -> None:
    """Hold every argument in a tree of nodes against the annotation of its parameter.

    A node is held to be what it makes: an instance of its target, or of what the target is annotated to return. Targets of pydantic's
    may be given what pydantic makes a value of (`"3"` for a whole number); others get the value as it is, and so it must be right.

    Args:
        root: a node, or a container of nodes.
        complete: whether it is a mistake that an argument without a default, or a target, is missing; it may come later.

    Raises:
        SettingsError: all arguments that do not fit or are missing, with path and origin.
    """
    problems = [problem for path, node in located(root) for problem in _problems(path, node, complete)]
    if problems:
        raise SettingsError(problems)


def _problems(path: str, node: Node[Any], complete: bool) -> Iterator[Problem]:
    if node._target is NO_TARGET:
        if complete:
            yield Problem(
                keys=(path or "<root>",), message=f"{node!r} has no target, and none is known from where it is"
            )
        return
    try:
        parameters = node._parameters
    except WrongArguments as error:
        yield Problem(keys=(path or "<root>",), message=str(error))
        return
    given = explicit(node)
    for name in parameters.required if complete and isinstance(node, Config) else ():
        if name not in given:
            yield Problem(keys=(_below(path, name),), message=f"is not set, and {node._target} needs it")
    for name, value in given.items():
        yield from _misfits(_below(path, name), value, node, name)


def _below(path: str, name: str) -> str:
    return (path + str(Step(name))).removeprefix(".")


def _misfits(path: str, value: Any, node: Node[Any], name: str) -> Iterator[Problem]:
    annotation = node._target.annotation(name)
    if annotation is None or any(_unknown(inner) for inner in nodes_within(value)):
        return
    lenient = hasattr(node._target.object, "__pydantic_fields__")
    try:
        _adapter(annotation).validate_python(_standing_in(value), strict=not lenient)
    except ValidationError as error:
        for key, detail in _first_of_each(error, value).items():
            message = _complaint(detail) if key else f"{value_in_words(value)} is not {_type_in_words(annotation)}"
            yield Problem(message, (path + key,), _remedy(value, annotation), origin_of(node, name + key))
    except PydanticUserError:  # an annotation that pydantic knows nothing about
        return


def _remedy(value: Any, annotation: Any) -> str | None:
    """What to do about a mapping of arguments that does not say what it makes."""
    classes = [found for found in classes_in(annotation) if not issubclass(dict, found)]
    if not isinstance(value, dict) or len(classes) != 1:
        return None
    meant = f"{classes[0].__module__}.{classes[0].__qualname__}"
    return f"write `_target_: {meant}` in it, in a file; on a command line, set each argument by its path"


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # it has a configuration of its own
        return TypeAdapter(annotation)


def _first_of_each(error: ValidationError, value: Any) -> dict[str, ErrorDetails]:
    """One complaint for each item, by the steps to it; those of a union's branches are one."""
    found: dict[str, ErrorDetails] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(shown(_steps(value, detail["loc"])), detail)
    return found


def _steps(value: Any, keys: Iterable[Any]) -> Iterator[Step]:
    """The steps into a container that a complaint is about. Pydantic's branches of unions are none, nor what is missing."""
    for key in keys:
        items = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if not isinstance(items, dict) or key not in items:
            return
        yield Step(key, item=True)
        value = items[key]


def _complaint(detail: ErrorDetails) -> str:
    """The value and what pydantic says about it."""
    found = detail["input"]
    return f"{found.words if isinstance(found, _StandIn) else value_in_words(found)}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _type_in_words(annotation: Any) -> str:
    """A type as a user would say it, classes without their modules."""
    return re.sub(r"<class '(?:[\w<>]+\.)*(\w+)'>", r"\1", type_in_words(annotation))


# What stands in for a node


class _StandIn:
    """Something that passes for an instance of a class."""

    def __init__(self, made: type, node: Node[Any]) -> None:
        self._made = made
        self.words = repr(node)

    @property  # type: ignore[misc] # isinstance() believes it
    def __class__(self) -> Any:
        return self._made


class _PartialStandIn(_StandIn):
    """Something that passes for a partial function."""

    def __call__(self) -> None:
        """Nothing: that it can be called is enough."""


def _unknown(node: Node[Any]) -> bool:
    """Whether nothing is known of what a node makes; or it is plain data, which has no stand-in."""
    return isinstance(node, Config) and _class_made(node) is None


def _class_made(node: Node[Any]) -> type | None:
    if node._target is NO_TARGET:
        return None
    target = node._target.object
    found = [target] if isinstance(target, type) else classes_in(returned_by(target))
    return found[0] if len(found) == 1 and found[0].__module__ != "builtins" else None


def _standing_in(value: Any) -> Any:
    """The value, with something that passes for what it makes in place of each node."""
    if type(value) in ATOMS:
        return value
    if isinstance(value, Partial):
        return _PartialStandIn(functools.partial, value)
    if isinstance(value, Node):
        made = _class_made(value)
        return value if made is None else _StandIn(made, value)
    if type(value) in (list, tuple):
        return type(value)(_standing_in(item) for item in value)
    return {key: _standing_in(item) for key, item in value.items()} if type(value) is dict else value


# Instances from plain data


def from_dict(raw: Mapping[str, Any], cls: type[T]) -> T:
    """An instance of a dataclass or pydantic model from plain data, with all that it holds.

    Raises:
        SettingsError: names that a class does not have, with the nearest one; or values that do not fit.
    """
    unknown = list(_unknown_names(raw, [cls], ""))
    if unknown:
        raise SettingsError(unknown)
    try:
        return TypeAdapter(cls).validate_python(raw)
    except ValidationError as error:
        raise SettingsError(_refused(detail) for detail in error.errors(include_url=False)) from None


def _refused(detail: ErrorDetails) -> Problem:
    path = shown(Step(key, item=isinstance(key, int)) for key in detail["loc"])
    message = "must be given" if detail["type"] == "missing" else _complaint(detail)
    return Problem(keys=(path or "<root>",), message=message)


def _unknown_names(raw: Any, annotations: list[Any], path: str) -> Iterator[Problem]:
    """The names in a mapping that no class has which may be meant; where several are, all are known."""
    if not isinstance(raw, CONTAINERS):
        return
    classes = [found for annotation in annotations for found in classes_in(annotation) if found is not dict]
    parameters = Parameters.of(classes[0]) if len(classes) == 1 and isinstance(raw, dict) else None
    for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
        place = (path + str(Step(key, item=parameters is None))).removeprefix(".")
        if parameters is None:
            inner = below(annotations, type(raw), key)
            yield from _unknown_names(value, inner, place)
        elif name := _meant(str(key), parameters):
            yield from _unknown_names(value, [annotations_of(classes[0]).get(name)], place)
        elif not parameters.others:
            message = f"{classes[0].__name__} has no '{key}'; {did_you_mean(str(key), list(parameters.by_name))}"
            yield Problem(keys=(place,), message=message)


def _meant(key: str, parameters: Parameters) -> str | None:
    """The parameter of this name or alias."""
    return next((name for name, item in parameters.by_name.items() if key in (name, item.keyword)), None)
