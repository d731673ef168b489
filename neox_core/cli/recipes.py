"""Runs that are said by nodes: what `neox train recipes.py:small`, `neox train llama3_8b` and files with `_target_` mean."""

from __future__ import annotations

import argparse
import importlib
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from neox_core.cli.commands import CommandFunction
from neox_core.cli.roots import in_module
from neox_core.config.nodes import Node
from neox_core.config.nodes.annotations import returned_by
from neox_core.config.nodes.calls import Call
from neox_core.config.nodes.foreign import told
from neox_core.config.nodes.parameters import Parameters
from neox_core.config.nodes.sources import Sources
from neox_core.config.presets import is_readable
from neox_core.config.recipes import RecipeFunction
from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import CommandContext, PluginManager
from neox_core.plugins.discovery import import_file
from neox_core.training.trains import Training


class Root(NamedTuple):
    """What a run is made of.

    Args:
        word: as it was written.
        name: the run's name where the settings have none.
        node: the tree.
        recipes: what values beside it may name.
        module: the module that was named; what is defined there may be named by files beside it.
        arguments: what the recipe takes in parentheses.
    """

    word: str
    name: str
    node: Node[Any]
    recipes: Mapping[str, Callable[..., Any]]
    module: str | None = None
    arguments: tuple[str, ...] = ()


def find_root(word: str, options: argparse.Namespace, context: CommandContext) -> Root:
    """The tree that a word means, of which `root_word` says that it is one.

    Args:
        word: a recipe, or a file of nodes, with a section or without.
        options: with `conf_dir`, where files are, and what `add_options` adds.
        context: the plugins.

    Raises:
        UserError: it cannot be had.
    """
    from neox_core.config.nodes.sections import split  # which costs PyYAML

    path = (options.conf_dir or Path()) / word
    return root_of_file(path, options, context) if is_readable(split(path)[0]) else root_of(word, context)


def root_of_file(path: Path, options: argparse.Namespace, context: CommandContext) -> Root:
    """The tree that a file says, or a section of it.

    Raises:
        UserError: it cannot be read, or says something else.
    """
    from neox_core.config.nodes.forms import load
    from neox_core.config.nodes.sections import split

    node = load(path, allowed(options, context), check=False)
    if not isinstance(node, Node):
        raise UserError(f"{path}: there is no _target_ in it, so it does not say what it makes")
    return Root(str(path), split(path)[0].stem, node, offered(context.plugins))


def allowed(options: argparse.Namespace, context: CommandContext, root: Root | None = None) -> list[str]:
    """What files may name: what plugins declare, what `--allow` adds, and what is defined where a recipe is.

    Raises:
        UserError: a file among them cannot be imported.
    """
    asked = [load_module(name).__name__ if name.endswith(".py") else name for name in options.allow]
    beside = [root.module] if root is not None and root.module is not None else []
    return [*context.plugins.targets(), *asked, *beside]


def root_of(word: str, context: CommandContext, *, runs: bool = False) -> Root:
    """The tree that a recipe makes: one of a file or module, or one that a plugin offers.

    Args:
        word: `FILE.py:NAME`, `module:NAME`, or a name; each with arguments in parentheses or without.
        context: the plugins.
        runs: whether a function that makes no node is called later, in place of being a mistake.

    Raises:
        UserError: there is no such file, module or recipe; it takes other arguments; or what it makes is no node.
    """
    match = in_module(word)
    call = Call.parse(match["call"] if match else word)
    recipes, beside = offered(context.plugins), None
    if match is not None:
        module = load_module(match["module"])
        recipes, beside = recipes | recipes_in(module), module.__name__
        made = named(module, call.name, match["module"])
    elif call.name in recipes:
        made = recipes[call.name]
    else:
        raise UserError(
            f"{word}: write FILE.py:NAME, module:NAME, or the name of a recipe; {did_you_mean(call.name, list(recipes))}"
        )
    node = _node(made, call, Sources(None, recipes), word, runs=runs)
    arguments = () if isinstance(made, Node | Training) else tuple(Parameters.of(made).by_name)
    return Root(word, call.name, node, recipes, beside, arguments)


def load_module(name: str) -> ModuleType:
    """The module of a `.py` file, whose directory its imports may come from, or of a dotted name.

    Raises:
        UserError: it cannot be imported.
    """
    try:
        with told(name, ImportError):
            if not name.endswith(".py"):
                return importlib.import_module(name)
            directory = str(Path(name).resolve().parent)
            if directory not in sys.path:
                sys.path.append(directory)  # after all others, so that no file in it hides an installed module
            return import_file(Path(name).resolve())
    except ImportError as error:
        raise UserError(f"{name}: cannot be imported: {error}") from error


def recipes_in(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The recipes that a module has, by name, those that it imported too."""
    return {value.name: value for value in vars(module).values() if isinstance(value, RecipeFunction)}


def offered(plugins: PluginManager) -> dict[str, Callable[..., Any]]:
    """The recipes that plugins offer, by name; each is imported when it is called."""
    return {name: _Offered(plugins, name) for name in plugins.names("recipe")}


class _Offered:
    """A recipe of a plugin."""

    def __init__(self, plugins: PluginManager, name: str) -> None:
        self._plugins, self._name = plugins, name
        self.__qualname__ = name  # as messages call it

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        offer = self._plugins.find("recipe", self._name)
        function: Callable[..., Any] = self._plugins.load(offer, offer.component.factory)
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._plugins.make("recipe", self._name, *args, **kwargs)


def named(module: ModuleType, name: str, written: str) -> Any:
    """What a module has under the name of a recipe, or of anything else.

    Raises:
        UserError: it has no such name.
    """
    recipes = recipes_in(module)
    if name in recipes:
        return recipes[name]
    if not hasattr(module, name):
        own = {known for known, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
        known = sorted({*recipes, *(name for name in own if not name.startswith("_"))})
        raise UserError(f"{written} has no '{name}'; {did_you_mean(name, known)}")
    return getattr(module, name)


def _node(made: Any, call: Call, sources: Sources, word: str, *, runs: bool) -> Node[Any]:
    """The node that something under a name is, or makes of its arguments."""
    if isinstance(made, Node):
        return made.clone()
    if isinstance(made, CommandFunction | Training) or (runs and not _makes_nodes(made)):
        return sources.bound(made, call)
    if not callable(made):
        raise UserError(f"{word}: {made!r} is no recipe: that is a function which returns a Config or a Partial")
    node = sources.called(made, call)
    if not isinstance(node, Node):
        raise UserError(
            f"{word}: it gives {type(node).__name__}, not a Config or a Partial; return one, or decorate it with @autoconvert"
        )
    return node


def _makes_nodes(function: Any) -> bool:
    """Whether a function is a recipe, or says that it returns a node."""
    if isinstance(function, RecipeFunction | _Offered) or hasattr(function, "wrapped"):
        return True
    returned = returned_by(function)
    found = typing.get_origin(returned) or returned
    return isinstance(found, type) and issubclass(found, Node)
