"""`neox train`: check everything, then let a launcher start the ranks."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from neox_core.cli.choice import chosen_plugins
from neox_core.cli.given import read_given
from neox_core.cli.sources import source_of
from neox_core.config import NeoXArgs, dump_yaml
from neox_core.config.command_line import Parser
from neox_core.errors import UserError
from neox_core.files import write_new
from neox_core.plugins import CommandContext
from neox_core.training.start import launch, prepare


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line: configuration files, overrides and flags in any order."""
    parser = Parser(prog="neox train", description="Train a model.")
    parser.add_argument(
        "words",
        nargs="+",
        metavar="FILE | RECIPE | KEY=VALUE",
        help="configuration files or presets, a recipe (FILE.py:NAME, or the name of one that is installed), and overrides",
    )
    parser.add_allow()
    parser.add_settings_from()
    parser.add_argument("--print", action="store_true", help="print the settings as YAML, and start nothing")
    parser.add_argument(
        "--save", metavar="FILE", type=_yaml_file, help="write the settings to a new .yml file, and start nothing"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything and print what would be started")
    return parser.parse(argv)


def _yaml_file(name: str) -> Path:
    if not name.endswith((".yml", ".yaml")):
        raise argparse.ArgumentTypeError(f"{name}: settings are written as YAML; give it a name that ends with .yml")
    return Path(name)


def main(argv: list[str], context: CommandContext) -> int:
    """Run a training job to its end; returns its exit code."""
    begun = time.time()
    options = parse(argv)
    given = read_given(options.words, options, context)
    plugins = chosen_plugins(given.entries, context)
    if options.dry_run and (options.print or options.save is not None):
        raise UserError("--dry-run: has no effect beside --print and --save, which start nothing; leave it out")
    if options.print or options.save:
        return show(NeoXArgs(given.entries.values(), plugins, settings_from=source_of(options, plugins)), options)
    prepared = prepare(given.entries, plugins, default_name=given.name, settings_from=source_of(options, plugins))
    if options.dry_run:
        print(prepared.plan)
        return 0
    return 0 if prepared.ends_here() else launch(prepared, begun)


def show(args: NeoXArgs, options: argparse.Namespace) -> int:
    """Print or write the given keys, which are the same run when they are read back.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    text = dump_yaml(args.to_dict())
    if options.print:
        print(text, end="")
    if options.save:
        write_new(options.save, text)
    return 0
