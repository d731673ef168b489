"""Keys and the sources: what a key is said to do is done somewhere, and what is said to have no effect yet is read nowhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from neox_launchers.settings.deepspeed import DeepSpeedLauncherSettings
from neox_launchers.settings.mpi import MPISettings
from neox_launchers.settings.slurm import SlurmSettings

from neox_core.cli.deepy import GENERATING
from neox_core.config import DeepSpeedSettings
from neox_core.config.deepspeed_json import NOT_PASSED_ON
from neox_core.config.keys import Key
from neox_core.config.ownership import Ownership
from neox_core.config.runner_options import RUNNER_OPTIONS, SRUN_OPTIONS
from neox_core.plugins import PluginManager, Switches

ROOT = Path(__file__).parents[2]

DECLARING = {"groups", "settings"}
"""Directories and modules that declare keys."""

TABLES = {
    "GENERATING": set(GENERATING),
    "RUNNER_OPTIONS": {option.key or option.name for option in RUNNER_OPTIONS},
    "SRUN_OPTIONS": set(SRUN_OPTIONS),
}
"""Tables that are read in a loop -> their keys."""

ABOUT_KEYS = {
    Path("neox_core/config", name)
    for name in (
        "command_line",
        "compatibility",
        "deepspeed_names",
        "derived",
        "older",
        "rules",
        "translation",
        "deepspeed_rules",
    )
}
"""Modules of the configuration that name keys without doing what they say."""

NOT_HEEDED = {
    **{
        key: "DeepSpeed's launcher heeds it, which `neox deepy` starts; `neox train` does not yet"
        for group in (DeepSpeedLauncherSettings, MPISettings, SlurmSettings)
        for key in group.model_fields
    },
    "use_wandb": "the name of the group is made; nothing is logged",
    "wandb_group": "likewise",
}
"""Keys that some code names, and that have no effect nonetheless."""

OWNERSHIP = Ownership.of(PluginManager(Switches()))
WITHOUT_EFFECT = [key for key in OWNERSHIP.keys.values() if key.unused or key.pending]
PASSED_ON = set(DeepSpeedSettings.model_fields) - NOT_PASSED_ON
"""Keys that DeepSpeed is given as they are, by looping over their group."""
WITH_EFFECT = [key for key in OWNERSHIP.keys.values() if not (key.unused or key.pending or key.name in PASSED_ON)]


@dataclass(frozen=True)
class Source:
    """What a module names.

    Args:
        attributes: (`args` of `args.seed`, `seed`); the first is the last name before the dot.
        texts: keys that are asked for by their name: `getattr(args, "seed")`, `args.get("seed")`, or by a table of `TABLES`.
        names: of variables, classes and imports.
    """

    path: Path
    attributes: frozenset[tuple[str, str]]
    texts: frozenset[str]
    names: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> Source:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))
        attributes = {
            (_last_name(node.value), node.attr)
            for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        }
        texts = {text for node in nodes for text in _asked_for(node)}
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.alias)}
        return cls(path, frozenset(attributes), frozenset(texts), frozenset(names))

    def reads(self, key: Key) -> bool:
        """Whether it is the key: of the flat settings, of a value of its group, or of the model's settings."""
        bases = {base for base, attribute in self.attributes if attribute == key.name}
        quoted = key.name in self.texts
        if "NeoXArgs" in self.names and (quoted or not bases.isdisjoint({"args", "self"})):
            return True
        if key.group.__name__ in self.names and (quoted or bases):
            return True
        return key.group.group_name == "model" and "model" in bases


def _asked_for(node: ast.AST) -> Iterator[str]:
    """The keys that are read by their name here."""
    if isinstance(node, ast.Call) and _last_name(node.func) in ("getattr", "get"):
        yield from (part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from TABLES.get(node.id, ())


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@cache
def sources() -> list[Source]:
    found = []
    for top in ("neox_core", "plugins"):
        for path in sorted((ROOT / top).rglob("*.py")):
            inside = path.relative_to(ROOT).with_suffix("")
            if DECLARING.isdisjoint(inside.parts) and inside not in ABOUT_KEYS:
                found.append(Source.read(path))
    return found


def readers(key: Key) -> list[str]:
    return [str(source.path.relative_to(ROOT)) for source in sources() if source.reads(key)]


@pytest.mark.parametrize("key", WITH_EFFECT, ids=lambda key: key.name)
def test_a_key_that_has_an_effect_is_read(key):
    assert readers(key), "no code reads it: it is pending, or unused"


@pytest.mark.parametrize("key", WITHOUT_EFFECT, ids=lambda key: key.name)
def test_a_key_that_has_no_effect_is_not_read(key):
    if key.name not in NOT_HEEDED:
        assert not readers(key), "it is read: is it still without effect?"


@pytest.mark.parametrize("name", sorted(NOT_HEEDED))
def test_the_exceptions_are_named(name):
    key = OWNERSHIP.keys[name]
    assert key in WITHOUT_EFFECT
    assert readers(key)


def test_the_search_finds_what_is_read():
    for name in ("num_layers", "seed", "log_interval", "moe_top_k", "tensorboard_dir", "launcher", "zero_optimization"):
        assert readers(OWNERSHIP.keys[name]), name


@pytest.mark.parametrize(
    ("line", "is_read"),
    [
        ("args.seed", True),
        ("args.get('seed')", True),
        ("getattr(args, 'seed', None)", True),
        ("[args.get(key) for key in GENERATING]", True),
        ("other.seed", False),
        ("args.seed = 1", False),
        ("GENERATING = ()", False),
        ("OTHERS = ('seed',)", False),
        ("print('seed')", False),
    ],
)
def test_a_word_alone_is_not_read(tmp_path, line, is_read):
    (tmp_path / "module.py").write_text(f"args: NeoXArgs\n{line}\n")
    assert Source.read(tmp_path / "module.py").reads(OWNERSHIP.keys["seed"]) == is_read


def test_the_tables_are_used():
    assert {name for source in sources() for name in source.names} >= set(TABLES)
