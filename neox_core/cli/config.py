"""`neox config`: check settings without starting anything, and show what they come to."""

from __future__ import annotations

import argparse

import yaml

from neox_core.cli.tables import table
from neox_core.cli.train import find_world
from neox_core.cli.words import files_and_overrides, positive
from neox_core.config import NeoXArgs, World, read_entries, switches_from
from neox_core.errors import SettingsError
from neox_core.plugins import CommandContext, PluginManager
from neox_core.training.components import component_problems


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="neox config", description="Check settings and show what they come to.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, description in (("check", "report every problem"), ("show", "print every key with its value and origin")):
        verb = verbs.add_parser(name, help=description, description=description)
        verb.add_argument("words", nargs="+", metavar="FILE | KEY=VALUE")
        verb.add_argument("--world-size", type=positive, help="as if there were so many ranks")
    return parser.parse_args(argv)


def main(argv: list[str], context: CommandContext) -> int:
    """Check or show; problems are raised."""
    options = parse(argv)
    entries = read_entries(*files_and_overrides(options.words))
    plugins = PluginManager(switches_from(entries, context.switches))
    args = NeoXArgs(entries.values(), plugins)
    world = World.local(options.world_size) if options.world_size else find_world(args)
    resolved = args.resolve(world)
    problems = component_problems(resolved, plugins)
    if problems:
        raise SettingsError(problems)
    if options.verb == "check":
        print(f"in order: {len(entries)} settings, {world.size} ranks, {resolved.batch.total} samples a step")
        return 0
    rows = [[key, inline(value), str(args.origin(key) or "default")] for key, value in resolved.all_values().items()]
    print(table([["KEY", "VALUE", "FROM"], *rows]))
    return 0


def inline(value: object) -> str:
    """A value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
