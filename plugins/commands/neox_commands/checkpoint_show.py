"""`neox checkpoint show`: what is in a checkpoint."""

from __future__ import annotations

import fnmatch
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_commands.checkpoint_away import facts_of
from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.checkpoint.layout import PLUGINS
from neox_core.checkpoint.remote import is_url
from neox_core.cli.tables import table
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_core.checkpoint import Reader


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint show",
        description="Facts of a checkpoint: step, ranks, counts, what is kept of the weights; with --tensors each of them.",
    )
    command.add_argument(
        "path",
        metavar="PATH",
        help="a checkpoint, or a directory of checkpoints, of which the newest is shown; or the URL of either",
    )
    command.add_argument(
        "--tensors", nargs="*", metavar="PATTERN", help="list tensors, those whose names match (`layers.0.*`)"
    )
    command.add_argument(
        "--stats", action="store_true", help="of each tensor mean, deviation and largest number, which reads them"
    )
    command.add_argument(
        "--settings",
        action="store_true",
        help="print the settings that it was saved with, alone and as YAML; with --json beside the facts",
    )
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Show it."""
    options = parser().parse(argv)
    from neox_core.checkpoint import Reader
    from neox_core.training.initial import complete_checkpoint
    from neox_core.training.resuming import saved_settings

    away = facts_of(options.path, context) if is_url(options.path) else None
    reader = Reader(complete_checkpoint(Path(options.path)) if away is None else away.path)
    if options.settings and not options.json:
        if options.tensors is not None or options.stats:
            raise UserError(
                "--settings prints a file of settings and nothing else: leave out --tensors and --stats, or add --json"
            )
        print(reader.settings_text, end="")
        return 0
    found: dict[str, Any] = facts(reader)
    if away is not None:
        found["path"] = away.checkpoint.url
    if options.settings:
        found["settings"] = saved_settings(reader.path, reader.manifest)
    if options.tensors is not None or options.stats:
        found["tensors"] = [*tensors(reader, options.tensors or ["*"], stats=options.stats)]
    if options.json:
        print(json_text(found))
    else:
        print(in_lines(found))
    return 0


def facts(reader: Reader) -> dict[str, Any]:
    """What there is to know without reading tensors."""
    roles: dict[str, dict[str, int]] = defaultdict(lambda: {"tensors": 0, "elements": 0, "bytes": 0})
    for name in reader.names:
        for role in reader.roles(name):
            count = 1 if reader.is_scalar(name, role) else math.prod(reader.shape(name, role))
            entry = roles[f"{role} {_dtype(reader, name, role)}"]
            entry["tensors"] += 1
            entry["elements"] += count
            entry["bytes"] += count * reader.dtype(name, role).itemsize
    return {
        "path": str(reader.path),
        "step": reader.iteration,
        "ranks": {"number": reader.world_size, "cut": str(reader.topology)},
        "files": len(reader.manifest.files),
        "bytes": reader.manifest.size,
        "state": reader.state,
        "plugins": _plugins(reader),
        "kept": dict(roles),
    }


def tensors(reader: Reader, patterns: Sequence[str], *, stats: bool) -> Iterator[dict[str, Any]]:
    """Those whose names match a pattern, in the order of the model.

    Raises:
        UserError: a pattern matches none.
    """
    for pattern in patterns:
        if not fnmatch.filter(reader.names, pattern):
            raise UserError(
                f"--tensors {pattern}: no tensor is called so; `neox checkpoint show {reader.path} --tensors` lists all"
            )
    for name in reader.names:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            kept = {role: _dtype(reader, name, role) for role in reader.roles(name)}
            yield {
                "name": name,
                "shape": list(reader.shape(name)),
                "kept": kept,
                **(_stats(reader, name) if stats else {}),
            }


def _stats(reader: Reader, name: str) -> dict[str, float]:
    weight = reader.whole(name).double()
    largest = float(weight.abs().max()) if weight.numel() else 0.0
    deviation = float(weight.std(correction=0)) if weight.numel() else 0.0
    return {"mean": float(weight.mean()) if weight.numel() else 0.0, "deviation": deviation, "largest": largest}


def in_lines(found: dict[str, Any]) -> str:
    """For people."""
    state = {key: value for key, value in found["state"].items() if isinstance(value, int | float | str)}
    rows = [
        ["checkpoint", found["path"]],
        ["step", f"{found['step']:,}"],
        ["ranks", f"{found['ranks']['number']}: {found['ranks']['cut']}"],
        ["files", f"{found['files']}, {in_words(found['bytes'])}"],
        *([key, f"{value:,}" if isinstance(value, int) else str(value)] for key, value in state.items()),
        ["plugins", ", ".join(found["plugins"]) or "none"],
    ]
    kept = [["kept", "tensors", "elements", "size"]]
    kept += [
        [role, f"{entry['tensors']:,}", f"{entry['elements']:,}", in_words(entry["bytes"])]
        for role, entry in found["kept"].items()
    ]
    parts = [table(rows), table(kept)]
    if "tensors" in found:
        parts.append(table([*_tensor_rows(found["tensors"])]))
    return "\n\n".join(parts)


def _tensor_rows(found: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    numbers = ["mean", "deviation", "largest"] if any("mean" in entry for entry in found) else []
    yield ["tensor", "shape", "kept", *numbers]
    for entry in found:
        kept = ", ".join(f"{role} {dtype}" for role, dtype in entry["kept"].items())
        yield [
            entry["name"],
            " x ".join(map(str, entry["shape"])),
            kept,
            *(f"{entry[number]:.4g}" for number in numbers),
        ]


def _plugins(reader: Reader) -> list[str]:
    if PLUGINS not in reader.manifest.files:
        return []
    described = json.loads(reader.file(PLUGINS))
    named = (f"{entry.get('distribution', '?')} {entry.get('version', '')}".strip() for entry in described)
    return [*dict.fromkeys(named)]


def _dtype(reader: Reader, name: str, role: str) -> str:
    return str(reader.dtype(name, role)).removeprefix("torch.")
