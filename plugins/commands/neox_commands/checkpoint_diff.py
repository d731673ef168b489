"""`neox checkpoint diff`: in what two checkpoints differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neox_commands.json_text import add_json, json_text
from neox_core.checkpoint.layout import PLUGINS
from neox_core.cli.tables import table
from neox_core.cli.words import checkpoint_here
from neox_core.config.parser import RaisingParser
from neox_core.config.plain import shown
from neox_core.errors import shortened
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from torch import Tensor

    from neox_core.checkpoint import Reader

DIFFER = 1
"""The exit code where they do, as that of diff(1)."""


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint diff",
        description="In what two checkpoints differ: settings, counts, plugins, and tensors, however they were cut. Exit code 0 where "
        "all is the same, 1 where something differs.",
    )
    command.add_argument(
        "one",
        type=checkpoint_here,
        metavar="ONE",
        help="a checkpoint, or a directory of checkpoints, of which the newest is meant",
    )
    command.add_argument("other", type=checkpoint_here, metavar="OTHER", help="likewise")
    command.add_argument("--weights-only", action="store_true", help="compare weights and nothing else")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Compare them."""
    options = parser().parse(argv)
    from neox_core.checkpoint import Reader
    from neox_core.training.initial import complete_checkpoint

    one, other = (Reader(complete_checkpoint(path)) for path in (options.one, options.other))
    found: dict[str, Any] = {} if options.weights_only else beside_tensors(one, other)
    found["tensors"] = [*tensors(one, other, weights_only=options.weights_only)]
    print(json_text({"one": str(one.path), "other": str(other.path), **found}) if options.json else in_lines(found))
    return DIFFER if any(found.values()) else 0


def beside_tensors(one: Reader, other: Reader) -> dict[str, Any]:
    """What differs of settings, of the state of the run, and of plugins."""
    return {
        "settings": differing(_settings(one), _settings(other)),
        "state": differing({"step": one.iteration, **one.state}, {"step": other.iteration, **other.state}),
        "plugins": differing(_plugins(one), _plugins(other)),
    }


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """By key the values of both where they are not the same; None where one has none."""
    keys = dict.fromkeys([*one, *other])
    return {key: [one.get(key), other.get(key)] for key in keys if one.get(key) != other.get(key)}


def tensors(one: Reader, other: Reader, *, weights_only: bool) -> Iterator[dict[str, Any]]:
    """What is not the same of each tensor in each role: `difference` says it, `largest` and `relative` by how much."""
    for name in dict.fromkeys([*one.names, *other.names]):
        roles = dict.fromkeys([*one.roles(name), *other.roles(name)])
        for role in roles:
            if weights_only and role != "weight":
                continue
            found = _compared(one, other, name, role)
            if found:
                yield {"name": name, "role": role, **found}


def _compared(one: Reader, other: Reader, name: str, role: str) -> dict[str, Any]:
    for reader, which in ((other, "one"), (one, "other")):
        if role not in reader.roles(name):
            return {"difference": f"only in {which}"}
    mine_shape, their_shape = one.shape(name, role), other.shape(name, role)
    if mine_shape != their_shape:
        return {"difference": f"shape {list(mine_shape)} and {list(their_shape)}"}
    mine, theirs = one.whole(name, role), other.whole(name, role)
    types = "" if mine.dtype == theirs.dtype else f"{mine.dtype} and {theirs.dtype}".replace("torch.", "")
    away = _distance(mine, theirs)
    if not types and away["largest"] == 0:
        return {}
    return {"difference": types or "values", **away}


def _distance(mine: Tensor, theirs: Tensor) -> dict[str, float]:
    """The largest difference of an element, and the difference as a share of the whole."""
    a, b = mine.double(), theirs.double()
    away = a - b
    if mine.isnan().equal(theirs.isnan()):
        away = away.nan_to_num()  # the same numbers are missing in both
    size = float(a.norm().nan_to_num())
    norm = float(away.norm())
    return {"largest": float(away.abs().max()) if away.numel() else 0.0, "relative": norm / size if size else norm}


def in_lines(found: Mapping[str, Any]) -> str:
    """For people."""
    parts = []
    for what in ("settings", "state", "plugins"):
        if found.get(what):
            rows = [[key, shortened(shown(a), 60), shortened(shown(b), 60)] for key, (a, b) in found[what].items()]
            parts.append(table([[what, "one", "other"], *rows]))
    if found["tensors"]:
        rows = [
            [
                entry["name"],
                entry["role"],
                entry["difference"],
                *(_number(entry, key) for key in ("largest", "relative")),
            ]
            for entry in found["tensors"]
        ]
        parts.append(table([["tensor", "kept", "differs in", "largest", "relative"], *rows]))
    return "\n\n".join(parts) or "no difference"


def _number(entry: Mapping[str, Any], key: str) -> str:
    return f"{entry[key]:.3g}" if key in entry else ""


def _settings(reader: Reader) -> dict[str, Any]:
    from neox_core.config import read_text

    return {entry.key: entry.value for entry in read_text(reader.settings_text, str(reader.path))}


def _plugins(reader: Reader) -> dict[str, Any]:
    described = json.loads(reader.file(PLUGINS)) if PLUGINS in reader.manifest.files else []
    return {f"{entry.get('distribution')}:{entry.get('plugin')}": entry.get("version") for entry in described}
