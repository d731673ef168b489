"""The annotations of a target's parameters, evaluated, and the classes that they allow."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from neox_core.config.type_options import options

Found = TypeVar("Found")


def remembered(read: Callable[[Any], Found]) -> Callable[[Any], Found]:
    """A function of a target that remembers what it found; not for a target that cannot be hashed."""
    known = functools.lru_cache(maxsize=4096)(read)

    @functools.wraps(read)
    def found(target: Any) -> Found:
        return known(target) if isinstance(target, Hashable) else read(target)

    return found


@remembered
def annotations_of(target: Any) -> Mapping[str, Any]:
    """The evaluated annotations of a target's parameters; those that cannot be evaluated are left out."""
    fields = getattr(target, "model_fields", None)
    if isinstance(fields, dict):
        return {name: _with_metadata(info) for name, info in fields.items()}
    found: dict[str, Any] = {}
    for owner in _owners(target):
        found |= _evaluated(owner)
    found.pop("return", None)
    return found


def returned_by(target: Any) -> Any:
    """What a function is annotated to return, or None where that is not known."""
    return _evaluated(inspect.unwrap(target)).get("return")


def classes_in(annotation: Any) -> list[type]:
    """The classes that an annotation allows which a node can make: `M` of `M | int | None`."""
    origins = [typing.get_origin(option) or option for option in options(annotation)]
    return [origin for origin in origins if isinstance(origin, type) and _makes_sense(origin)]


def classes_called_in(annotation: Any) -> list[type]:
    """The classes that an annotation wants to be called: `M` of `Callable[..., M]`."""
    called = [typing.get_args(option) for option in options(annotation) if typing.get_origin(option) is Callable]
    return [found for arguments in called for found in classes_in(arguments[-1])]


def _makes_sense(found: type) -> bool:
    return found is dict or (found.__module__ not in ("builtins", "typing") and not inspect.isabstract(found))


def items_of(annotation: Any, kind: type, key: object) -> list[Any]:
    """The annotations of what is under `key` (an index, or a key) where a `kind` of container is annotated so."""
    found: list[Any] = []
    for option in options(annotation):
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if not (arguments and isinstance(origin, type) and issubclass(kind, origin)):
            continue
        if origin is tuple and isinstance(key, int) and arguments[-1] is not ...:
            found.extend(arguments[key : key + 1])
        else:
            found.append(arguments[-1] if issubclass(kind, dict) else arguments[0])
    return found


def below(annotations: Iterable[Any], kind: type, key: object) -> list[Any]:
    """The same where several annotations hold."""
    return [found for annotation in annotations for found in items_of(annotation, kind, key)]


def _with_metadata(info: Any) -> Any:
    """The annotation of a field of pydantic's, with the constraints that it took from there."""
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _owners(target: Any) -> list[Any]:
    """What holds the annotations, the most telling last: the classes whose fields make the signature; else a function."""
    if not isinstance(target, type):
        return [inspect.unwrap(target)]
    if dataclasses.is_dataclass(target) or issubclass(target, tuple):
        return [inspect.unwrap(target.__init__), *reversed(target.__mro__[:-1])]
    return [inspect.unwrap(target.__init__)]


def _evaluated(owner: Any) -> dict[str, Any]:
    try:
        annotations = inspect.get_annotations(owner)
    except (TypeError, NameError):  # it has none, or they name what is imported for type checkers alone
        return {}
    scope = _scope(owner)
    found = {name: _evaluate(annotation, scope) for name, annotation in annotations.items()}
    return {name: annotation for name, annotation in found.items() if annotation is not _UNKNOWN}


_UNKNOWN = object()


def _scope(owner: Any) -> dict[str, Any]:
    """The names that the annotations of a class or function see."""
    module = sys.modules.get(getattr(owner, "__module__", None) or "")
    scope = {**(vars(module) if module else {}), **getattr(owner, "__globals__", {})}
    return {**scope, **vars(owner), owner.__name__: owner} if isinstance(owner, type) else scope


def _evaluate(annotation: Any, scope: dict[str, Any]) -> Any:
    """The type; strings within it are evaluated too."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        found = typing.get_type_hints(holder, scope, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - an annotation can be anything, and is only a hint here
        return _UNKNOWN
    return found.type if isinstance(found, dataclasses.InitVar) else found
