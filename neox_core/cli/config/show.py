"""`neox config show`: every key with its value and where it was set, by group, and what is computed from them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from neox_core.cli.config.subject import Subject, look_at, parser, read
from neox_core.cli.config.values import all_values, inline
from neox_core.cli.report import print_notes
from neox_core.cli.tables import table
from neox_core.config.deepspeed_json import engine_json
from neox_core.config.derived import DERIVED
from neox_core.config.yaml_text import dump_settings
from neox_core.plugins import CommandContext

APART = ("all_config", "deepspeed_config")
"""Computed values that are the whole; options of their own print them."""


def main(argv: list[str], context: CommandContext) -> int:
    """Print what settings come to."""
    options = parse(argv)
    subject = look_at(read(options.words, options, context), options)
    resolved = subject.sound()
    print_notes([*subject.args.notices, *resolved.notices, *subject.limitations])
    if options.deepspeed:
        print(json.dumps(engine_json(resolved), indent=1))
    elif options.yaml:
        print(dump_settings(shown_values(subject, options.given), subject.args.to_dict()), end="")
    elif options.json:
        print(json.dumps(as_data(subject, options.given), indent=1))
    else:
        print(listing(subject, options.given))
    return 0


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    command = parser("show", "Print every key with its value and where that was set, and what is computed from them.")
    command.add_argument("--given", action="store_true", help="only the keys that are given")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, with origins and computed values")
    form.add_argument("--yaml", action="store_true", help="as a configuration file, with the defaults as comments")
    form.add_argument("--deepspeed", action="store_true", help="the configuration that DeepSpeed is given, as JSON")
    return command.parse(argv)


def shown_values(subject: Subject, given: bool) -> dict[str, Any]:
    """The values to print, in the order of the groups."""
    return {key: value for key, value in all_values(subject.args).items() if not given or key in subject.args}


def computed(subject: Subject) -> dict[str, Any]:
    """The computed values by GPT-NeoX's names, without those that are the whole."""
    resolved = subject.sound()
    return {name: fact.compute(resolved) for name, fact in DERIVED.items() if name not in APART}


def as_data(subject: Subject, given: bool) -> dict[str, Any]:
    """What `--json` prints."""
    args = subject.args
    settings = {
        key: {
            "value": value,
            "from": str(args.origin(key) or "default"),
            "group": args.ownership.keys[key].group.group_name,
        }
        for key, value in shown_values(subject, given).items()
    }
    return {"settings": settings, "computed": computed(subject)}


def listing(subject: Subject, given: bool) -> str:
    """A table with a section for each group that has something to show."""
    args, values = subject.args, shown_values(subject, given)
    sections: list[tuple[str, list[list[str]]]] = [
        (
            owner.group.group_name.upper(),
            [
                [f"  {key}", inline(values[key]), str(args.origin(key) or "default")]
                for key in owner.group.model_fields
                if key in values
            ],
        )
        for owner in args.ownership.owners
    ]
    derived = [
        [f"  {name}", inline(value), f"from {DERIVED[name].source}"] for name, value in computed(subject).items()
    ]
    rows = [["KEY", "VALUE", "FROM"]]
    for title, body in [*sections, ("COMPUTED", derived)]:
        rows += [["", "", ""], [title, "", ""], *body] if body else []
    return table(rows)
