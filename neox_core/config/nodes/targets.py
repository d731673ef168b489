"""What a node makes: a class or function, or the name of one that is imported when it is first needed."""

from __future__ import annotations

import functools
import importlib
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

from neox_core.config.nodes.annotations import annotations_of, remembered
from neox_core.config.nodes.optional import OptionalDefault, optional_default
from neox_core.config.nodes.parameters import Parameters
from neox_core.config.nodes.problems import NodeError, WrongArguments
from neox_core.errors import did_you_mean


class Target:
    """A class or function, by itself or by its dotted name. Made by `Target.of`, and equal where the name is."""

    def __init__(self, written: Any) -> None:
        self._written = written
        self.known = not isinstance(written, str | None)
        """Whether the object is at hand, without importing anything."""

    @classmethod
    def of(cls, target: Any) -> Target:
        """The target that is meant: a class, a function, a dotted name, `{}` or `dict[...]` for a mapping, None for none yet.

        Raises:
            WrongArguments: it can be none of these.
        """
        if isinstance(target, type):
            return _of_class(target)
        if isinstance(target, str):
            return cls(target)
        if isinstance(target, Target):
            return target
        if target is None:
            return NO_TARGET
        found = dict if isinstance(target, dict) and not target else typing.get_origin(target) or target
        if not callable(found):
            raise WrongArguments(
                f"{target!r} is no target: that is a class, a function, the dotted name of one, or {{}} for a mapping"
            )
        return _of_callable(found)

    @functools.cached_property
    def object(self) -> Any:
        """The class or function; imported where it is not known.

        Raises:
            NodeError: there is none of this name, or none at all.
        """
        if self._written is None:
            raise NodeError("a node without a target: say what it makes, as in Config(Model, ...)")
        found = imported(self._written) if isinstance(self._written, str) else self._written
        self.known = True
        return found

    @functools.cached_property
    def name(self) -> str:
        """`module.qualname`, where the object was defined; imported where it is not known. Its repr where it has none."""
        return name_of(self.object)

    @property
    def written(self) -> str:
        """Its name without importing anything: as it was written, or `module.qualname`; "" where there is none."""
        return self._written or "" if isinstance(self._written, str | None) else self.name

    @functools.cached_property
    def parameters(self) -> Parameters:
        """What it takes."""
        return Parameters.of(self.object)

    def annotation(self, name: str) -> Any:
        """The evaluated annotation of a parameter; None where it has none, that cannot be evaluated, or there is no target."""
        return self._annotations.get(name)

    @functools.cached_property
    def _annotations(self) -> Mapping[str, Any]:
        return {} if self._written is None else annotations_of(self.object)

    @functools.cached_property
    def optional_defaults(self) -> Mapping[str, tuple[OptionalDefault, type]]:
        """The parameters that become nodes where they are not given."""
        found = {name: optional_default(annotation) for name, annotation in self._annotations.items()}
        return {name: mark for name, mark in found.items() if mark is not None and name in self.parameters.by_name}

    @functools.cached_property
    def builder(self) -> Callable[..., Any] | None:
        """The classmethod `__build_node__(arguments, origins)` of a class that says itself how a node of it is built."""
        return getattr(self.object, "__build_node__", None)

    def __str__(self) -> str:
        """For a sentence: without the module."""
        if self._written is None:
            return "a node without a target"
        return str(getattr(self.object, "__qualname__", self.name)) if self.known else str(self._written)

    def __repr__(self) -> str:
        return f"Target({self.written!r})"

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Target):
            return NotImplemented
        if self is other or self._written == other._written:
            return True
        if self is NO_TARGET or other is NO_TARGET:
            return False
        try:
            return self.name == other.name and "<" not in self.name
        except (NodeError, ImportError):  # of a name that cannot be imported, the name is all there is
            return False

    __hash__ = None  # type: ignore[assignment] # to be equal to an object, a name has to be imported

    def __reduce__(self) -> tuple[Any, ...]:
        return Target.of, (self._written,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Target:
        return self


NO_TARGET: Final = Target(None)
"""That of a node which takes its target from the parameter that it is assigned to."""


_of_class = functools.lru_cache(maxsize=4096)(Target)
_of_callable = remembered(Target)


def name_of(found: Any) -> str:
    """`module.qualname` of a class or function; of a method, by the class that it is taken from. Else its repr."""
    owner = getattr(found, "__self__", None)
    if isinstance(owner, type):
        return f"{owner.__module__}.{owner.__qualname__}.{found.__name__}"
    module, qualname = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    bound = owner is not None and getattr(owner, "__name__", None) != module
    return repr(found) if bound or not module or not qualname else f"{module}.{qualname}"


def imported(name: str) -> Any:
    """What a dotted name names: a module is imported, the rest are its attributes.

    Raises:
        NodeError: there is none.
    """
    found, rest = innermost_module(name)
    if found is None:
        raise NodeError(f"'{name}' is no target: there is no module '{rest[0]}', or no name in it is given")
    for part in rest:
        if not hasattr(found, part):
            names = [known for known in vars(found) if not known.startswith("_")]
            raise NodeError(f"'{name}' is no target: '{found.__name__}' has no '{part}'; {did_you_mean(part, names)}")
        found = getattr(found, part)
    return found


def innermost_module(name: str) -> tuple[Any, list[str]]:
    """The last module on the way to what a dotted name names, imported, and the names that are left; None and all of them without one.

    Raises:
        ModuleNotFoundError: of another module, which one on the way imports.
    """
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            return importlib.import_module(module), parts[cut:]
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
    return None, parts
