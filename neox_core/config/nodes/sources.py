"""From values as they were written to those that are set: by annotations, out of files, and by the names of recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, NamedTuple

from neox_core.config.nodes.annotations import annotations_of, below, classes_in
from neox_core.config.nodes.calls import Call
from neox_core.config.nodes.foreign import told
from neox_core.config.nodes.given import Given, Reference, Scalar, read
from neox_core.config.nodes.markers import TARGET
from neox_core.config.nodes.node import Config, Partial
from neox_core.config.nodes.parameters import Parameters
from neox_core.config.nodes.plain_values import meant_by_list
from neox_core.config.nodes.problems import NodeError, WrongArguments
from neox_core.config.nodes.scalars import NOTHING, allowed_by, choice, scalar
from neox_core.errors import SettingsError, did_you_mean, nearest


class Sources(NamedTuple):
    """Where values come from that are not written out.

    Args:
        load: makes a node, or another value, of the name of a file, with a section or without.
        recipes: functions that make a node, by the names that values may have.
    """

    load: Callable[[str], Any] | None = None
    recipes: Mapping[str, Callable[..., Any]] = MappingProxyType({})

    def value(self, given: Given, annotations: list[Any]) -> Any:
        """The value as one of the annotations wants it; as YAML has it where there is none, or it fits none.

        Raises:
            NodeError: a name is none of those that are allowed, or of no recipe; a recipe does not take what it is given.
        """
        if isinstance(given, Reference):
            if self.load is None:
                raise NodeError(f"@{given.name}: values are not taken from files here")
            return self.load(given.name)
        if isinstance(given, list):
            kind = meant_by_list(annotations)
            items = [self.value(item, below(annotations, kind, index)) for index, item in enumerate(given)]
            return kind(items) if issubclass(kind, list | tuple) or _hashable(items) else items
        if isinstance(given, dict):
            if TARGET in given:
                raise NodeError(
                    f"what has a {TARGET} is read from a file; write key=@file.yml, or key=@file.yml:section"
                )
            return {key: self.value(item, below(annotations, dict, key)) for key, item in given.items()}
        return self._scalar(given, annotations)

    def _scalar(self, given: Scalar, annotations: list[Any]) -> Any:
        allowed = allowed_by(annotations)
        name = given.text.partition("(")[0].strip()
        may_be_name = isinstance(given.value, str) and not given.quoted and str not in allowed
        if may_be_name and name in self.recipes and choice(given, allowed) is NOTHING:
            return self.called(self.recipes[name], Call.parse(given.text))
        value = scalar(given, annotations)
        if may_be_name and isinstance(value, str) and ("(" in value or nearest(name, self.recipes)):
            self._refuse_name(name, annotations)
        return value

    def _refuse_name(self, name: str, annotations: list[Any]) -> None:
        """Refuse what looks like the name of a recipe, where the instance of a class is wanted."""
        classes = [found.__name__ for item in annotations for found in classes_in(item) if found is not dict]
        if classes:
            known = did_you_mean(name, list(self.recipes))
            raise NodeError(f"'{name}' is neither {' nor '.join(classes)} nor the name of a recipe; {known}")

    def called(self, recipe: Callable[..., Any], call: Call) -> Any:
        """What a recipe makes of the arguments of a call.

        Raises:
            NodeError: it does not take them, lacks one, or fails; one is of another type than it says.
        """
        args, kwargs = self._arguments(recipe, call)
        bound = Config(recipe, *args, **kwargs)  # refuses what the recipe does not take
        missing = [name for name in bound._parameters.required if name not in bound._arguments]
        if missing:
            raise WrongArguments(f"{call.name} needs '{missing[0]}'; write {call.name}({missing[0]}=...)")
        if args or kwargs:
            _hold(bound, call.name)
        with told(call.name):
            return recipe(*args, **kwargs)

    def bound(self, function: Callable[..., Any], call: Call) -> Partial[Any]:
        """A function with the arguments of a call, to be called later.

        Raises:
            NodeError: it does not take them.
        """
        args, kwargs = self._arguments(function, call)
        return Partial(function, *args, **kwargs)

    def _arguments(self, function: Callable[..., Any], call: Call) -> tuple[list[Any], dict[str, Any]]:
        parameters, annotations = Parameters.of(function), annotations_of(function)
        names = zip_longest(call.args, parameters.positional[: len(call.args)])
        args = [self.value(read(text), [annotations.get(name)]) for text, name in names]
        return args, {name: self.value(read(text), [annotations.get(name)]) for name, text in call.kwargs}


def _hold(bound: Config[Any], name: str) -> None:
    """Hold the arguments of a recipe against its annotations."""
    from neox_core.config.nodes import validate  # which costs pydantic

    try:
        validate(bound, complete=False)
    except SettingsError as error:
        said = "; ".join(f"{', '.join(problem.keys)}: {problem.message}" for problem in error.problems)
        raise WrongArguments(f"{name}: {said}") from error


def _hashable(items: list[Any]) -> bool:
    try:
        hash(tuple(items))
    except TypeError:
        return False
    return True
