"""`neox config schema`: a JSON Schema of configuration files, by which editors complete and check them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from neox_core.cli.config.known import singular_names
from neox_core.cli.config.named import KINDS, names_here, names_not_yet
from neox_core.cli.config.values import CHANGES, heeded, provider, whose
from neox_core.config.deepspeed_names import NAMES_OF_GPT_NEOX
from neox_core.config.deepspeed_options import DEEPSPEED_OPTIONS, Options
from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.keys import DECLARED, REQUIRED, Key
from neox_core.config.older import OLDER
from neox_core.config.ownership import Ownership
from neox_core.config.parser import RaisingParser
from neox_core.config.settings import Settings
from neox_core.plugins import CommandContext, PluginManager

DIALECT = "https://json-schema.org/draft/2020-12/schema"

BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
"""JSON Schema's names for what pydantic leaves in its own words where a key takes several types."""

GROUPED_DIGITS = r"^[-+]?\d+(_\d+)+$"
"""A whole number in the spelling of YAML 1.1, `320_000`."""


def main(argv: list[str], context: CommandContext) -> int:
    """Print the schema, or write it to a file."""
    command = RaisingParser(
        prog="neox config schema", allow_abbrev=False, description="A JSON Schema of configuration files."
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write to a file")
    options = command.parse(argv)
    text = json.dumps(schema(context.plugins), indent=1) + "\n"
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text, encoding="utf-8")
    return 0


def schema(plugins: PluginManager) -> dict[str, Any]:
    """The schema of a file: every key, the earlier ones as deprecated, hyphens for underscores; nothing else.

    No key is required, since a configuration may be spread over several files. Names of components are offered; any other name is
    valid too, as it may be that of a plugin which is not here.
    """
    ownership = Ownership.of(plugins)
    properties = {name: _property(key, plugins) for name, key in ownership.keys.items()} | _earlier(ownership)
    return {
        "$schema": DIALECT,
        "title": "neox configuration",
        "type": "object",
        "properties": properties,
        "patternProperties": {
            f"^(?!{name}$){name.replace('_', '[-_]')}$": {"$ref": f"#/properties/{name}"}
            for name in properties
            if "_" in name
        },
        "additionalProperties": False,
    }


def _property(key: Key, plugins: PluginManager) -> dict[str, Any]:
    """What pydantic says of the value, and what is known about the key."""
    place = key.name if key.name in KINDS else f"{key.name}.type"
    found = _offering(names, _of_group(key)) if (names := names_here(place, plugins)) else _of_group(key)
    notes = [key.description, f"Owner: {key.group.group_name}, {provider(key)}.", f"Key of {whose(key)}."]
    notes += [f"Changes {CHANGES[key.changes]}.", f"It {effect}." if (effect := heeded(key)) else ""]
    notes += [f"Not here yet: {', '.join(missing)}."] if (missing := names_not_yet(place, plugins)) else []
    described = {"description": "\n".join(filter(None, notes)), **found}
    if key.default is not REQUIRED:
        described["default"] = key.default
    if key.unused is not None:
        described["deprecated"] = True
    return described


@cache
def _group_schema(group: type[Settings]) -> dict[str, Any]:
    return group.model_json_schema()


def _of_group(key: Key) -> dict[str, Any]:
    """Type and range of a key, with the names in dictionaries of DeepSpeed's."""
    whole = _group_schema(key.group)
    apart = {"title", "description", "default", *DECLARED}
    declared = {name: value for name, value in whole["properties"][key.name].items() if name not in apart}
    found: dict[str, Any] = _spelt_out(declared, whole.get("$defs", {}))
    if key.name in DEEPSPEED_OPTIONS:
        also: dict[str, Any] = {name: {} for name in sorted(NAMES_OF_GPT_NEOX.get(key.name, frozenset()))}
        for option in found.get("anyOf", [found]):
            if option.get("type") == "object":
                option |= {"properties": also | _of_options(DEEPSPEED_OPTIONS[key.name]), "additionalProperties": False}
    return found


def _of_options(options: Options) -> dict[str, Any]:
    """The options of a dictionary of DeepSpeed's, with those within; values are left to `neox config check`, which coerces."""
    return {
        name: {"properties": _of_options(kind), "additionalProperties": False} if isinstance(kind, Options) else {}
        for name, kind in sorted(options.types.items())
    }


def _offering(names: list[str], part: dict[str, Any]) -> dict[str, Any]:
    """What a key that names components takes, with the names wherever one may stand."""
    name = {"anyOf": [{"enum": names}, {"type": "string"}]}
    if "anyOf" in part:
        return part | {"anyOf": [_offering(names, option) for option in part["anyOf"]]}
    if part.get("type") == "array" and not part["items"]:  # of attention_config: names, or [[names], repeats]
        return {"type": "array", "items": {"anyOf": [name, {"prefixItems": [{"items": name}, {}], "type": "array"}]}}
    if part.get("type") == "array":
        return part | {"items": _offering(names, part["items"])}
    if part.get("type") == "object":
        return part | {"properties": {"type": name}}
    return name if part.get("type") == "string" else part


def _spelt_out(part: Any, definitions: dict[str, Any]) -> Any:
    """A part of a schema with what it refers to in its place."""
    if isinstance(part, list):
        return [_spelt_out(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _spelt_out(definitions[part["$ref"].rpartition("/")[2]], definitions)
    if "enum" in part and all(isinstance(word, str) for word in part["enum"]):
        return {"anyOf": [part, {"type": "string", "pattern": _in_any_case(part["enum"])}]}
    if part.get("type") == "integer":
        return {"anyOf": [part, {"type": "string", "pattern": GROUPED_DIGITS}]}
    return {BOUNDS.get(name, name): _spelt_out(value, definitions) for name, value in part.items()}


def _in_any_case(words: Sequence[str]) -> str:
    """A pattern for words of which case does not matter; JSON Schema has no other way to say it."""
    letters = ("".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in word) for word in words)
    return rf"^\s*({'|'.join(letters)})\s*$"


def _earlier(ownership: Ownership) -> dict[str, Any]:
    """Earlier names and computed values, which a file may have and an editor should strike out."""
    found = {
        alias: {"$ref": f"#/properties/{name}", "deprecated": True, "description": f"Is called {name} today."}
        for alias, name in ownership.aliases.items()
    }
    for name, key in singular_names(ownership).items():
        text = f"A single path; {key} takes a list."
        found[name] = {"type": ["string", "array", "null"], "deprecated": True, "description": text}
    for name, older in OLDER.items():
        found[name] = {"deprecated": True, "description": f"An earlier key; today: {older.meaning}."}
    for name, derived in DERIVED.items():
        found[name] = {"deprecated": True, "description": f"Is computed from {derived.source}; a value is not used."}
    return found | {name: {"deprecated": True, "description": "Has no effect in a file."} for name in RUNTIME}
