"""Overrides of nodes by words of a command line: `model.hidden*=2`, `layers[0]=my_layer(3)`, `data=@file.yml:data`, `~seed`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from neox_core.config.fitting import fitted
from neox_core.config.nodes.annotations import below, classes_in
from neox_core.config.nodes.node import Node
from neox_core.config.nodes.operators import combined
from neox_core.config.nodes.paths import get_value, set_value, unset_value
from neox_core.config.nodes.problems import NodeError, NotSet
from neox_core.config.nodes.sources import Sources
from neox_core.config.nodes.steps import Step, shown
from neox_core.config.nodes.walking import has
from neox_core.config.nodes.words import Word

Tree = TypeVar("Tree")

Load = Callable[[str], Any]
"""Makes a value of what is written after an `@`."""

Recipes = Mapping[str, Callable[..., Any]]
"""Functions that make nodes, by their names."""

NONE: Final[Recipes] = MappingProxyType({})


class Edit(Word):
    """One override, which changes nodes. `Edit.parse(word)` makes it."""

    def apply(self, root: Any, load: Load | None = None, recipes: Recipes = NONE) -> None:
        """Change a tree of nodes in place.

        The value is what the annotation of the parameter says where YAML leaves several: `123` is text where text is wanted. Whether
        it fits is another matter, which `validate` is for.

        Args:
            root: a node, a list or a mapping.
            load: what a value `@file.yml:section` becomes, by what is written after the `@`.
            recipes: functions that return nodes; a value may be the name of one, alone or with arguments: `model=llama(layers=3)`.

        Raises:
            NodeError: the path leads nowhere, nothing is there that an operator could change, the operator does not take such
                values, or a name is none of those that are known.
        """
        try:
            self._apply(root, Sources(load, recipes))
        except NodeError as error:
            raise self.blamed(error) from error

    def _apply(self, root: Any, sources: Sources) -> None:
        steps, annotations = self._followed(root)
        path = shown(steps)
        if self.sign == "~":
            unset_value(root, path)
        elif self.sign == "=":
            set_value(root, path, sources.value(self.given, annotations), self.origin)
        else:
            self._operate(root, steps, annotations, sources)

    def _operate(self, root: Any, steps: tuple[Step, ...], annotations: list[Any], sources: Sources) -> None:
        path = shown(steps)
        try:
            old = get_value(root, path)
        except NotSet as error:
            raise NotSet(f"{error}; set it with = first") from None
        if isinstance(old, Node) and self.sign == "|=" and isinstance(self.given, dict):
            for name, given in self.given.items():
                self._replace(steps=(*steps, Step(name)), sign="=", given=given)._apply(root, sources)
            return
        wanted = [type(old)] if type(old) in (str, int, float) else annotations
        new = combined(self.sign, {} if old is None and self.sign == "|=" else old, sources.value(self.given, wanted))
        for annotation in annotations:
            new = fitted(new, annotation)
        set_value(root, path, new, self.origin)

    def _followed(self, root: Any) -> tuple[tuple[Step, ...], list[Any]]:
        """The steps, names as the nodes have them, and what annotates the value; mappings on the way are made for `=`."""
        holder, annotations = root, list[Any]()
        found: list[Step] = []
        for number, step in enumerate(self.steps, 1):
            if isinstance(holder, Node) and isinstance(step.key, str):
                found.append(_named(holder, step))
                annotations = [holder._target.annotation(found[-1].key)]
            else:
                found.append(step)
                annotations = below(annotations, type(holder), step.key)
            if number < len(self.steps):
                if self.sign == "=" and _has_room(holder, found[-1].key, annotations):
                    set_value(root, shown(found), {}, self.origin)
                holder = get_value(root, shown(found))
        return tuple(found), annotations


def _named(node: Node[Any], step: Step) -> Step:
    """The step by the name that a parameter has, for which `-` may be written instead of `_`."""
    name, known = step.key.replace("-", "_"), node._parameters.by_name
    return Step(name) if name in known and step.key not in known else step


def _has_room(holder: Any, key: Any, annotations: list[Any]) -> bool:
    """Whether a mapping can be put under a key, since there is nothing yet."""
    if isinstance(holder, dict):
        return key not in holder and str(key) not in holder
    wanted = any(found is dict for annotation in annotations for found in classes_in(annotation))
    return wanted and isinstance(holder, Node) and (not has(holder, key) or holder._read(key) is None)


def apply(root: Tree, words: Iterable[str], load: Load | None = None, recipes: Recipes = NONE) -> Tree:
    """Change a tree of nodes by words of a command line, one after the other, in place; see `Edit.apply`.

    Returns:
        `root`.

    Raises:
        NodeError: a word is wrong. Where its form is, nothing is changed.
    """
    for edit in [Edit.parse(word) for word in words]:
        edit.apply(root, load, recipes)
    return root
