"""`neox mup`: base shapes of muP, and the check that activations do not depend on the width."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_commands.json_text import json_text
from neox_core.cli.config.subject import FILES, read
from neox_core.cli.plots import Plot, Series, for_stream, svg
from neox_core.cli.tables import table
from neox_core.cli.words import file_to_write, positive, require_different, write_asked_for
from neox_core.config import NeoXArgs
from neox_core.config.command_line import Parser
from neox_core.errors import UserError, did_you_mean
from neox_core.files import write_new
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_commands.mup_coordinates import Check, Coordinates

USAGE = """\
usage: neox mup VERB ...

Hyper-parameters that are found on a narrow model and hold for a wide one (muP).

  shapes       write the shapes of a base model, for base_shapes_file
  coord-check  measure activations at several widths, which muP keeps the same

`neox mup VERB --help` describes a verb."""


def main(argv: list[str], context: CommandContext) -> int:
    """Run one verb.

    Raises:
        UserError: there is none of this name.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else UserError.exit_code
    verbs: dict[str, Callable[[list[str], CommandContext], int]] = {"shapes": shapes, "coord-check": coordinate_check}
    if argv[0] not in verbs:
        raise UserError(f"there is no verb 'mup {argv[0]}'; {did_you_mean(argv[0], list(verbs))}")
    return verbs[argv[0]](argv[1:], context)


def parser(verb: str, description: str) -> Parser:
    """The command line of a verb, which takes settings as `neox train` does."""
    made = Parser(prog=f"neox mup {verb}", description=description)
    made.add_argument("words", nargs="+", metavar=FILES, help="configuration files or presets, and overrides")
    made.add_allow()
    made.add_settings_from()
    return made


def shapes(argv: list[str], context: CommandContext) -> int:
    """Write the shapes of the model that some settings describe."""
    from neox_commands.mup_widths import WITHOUT, at_width, resolved_from
    from neox_core.training.mup import base_shapes_of
    from neox_core.training.preflight import open_tokenizer

    command = parser("shapes", "Write the shapes of a base model, for base_shapes_file.")
    command.add_argument(
        "--width", type=positive, metavar="N", help="hidden_size of the base model; heads keep their size"
    )
    command.add_argument(
        "--output", type=file_to_write, metavar="FILE", help="a new YAML or JSON file; without it they are printed"
    )
    options = command.parse(argv)
    args = read(options.words, options, context)
    assert args.plugins is not None
    values = {**at_width(args, options.width or args.hidden_size), **WITHOUT}
    tokenizer = open_tokenizer(args)
    resolved = resolved_from(values, args.plugins, None if tokenizer is None else tokenizer.vocab_size)
    path = options.output or Path("shapes.yml")
    text = base_shapes_of(resolved, args.plugins).to_text(path)
    if options.output is None:
        print(text, end="")
        return 0
    write_new(path, text)
    print(f"written: {path}")
    return 0


def coordinate_check(argv: list[str], context: CommandContext) -> int:
    """Train models of several widths for a few steps; exit code 1 where muP is not flat."""
    options = coordinate_parser().parse(argv)
    require_different({"--svg": options.svg, "--json": options.json})
    args = read(options.words, options, context)
    from neox_commands.mup_coordinates import checks, measure

    found = measure(args, options.widths, options.steps, mup=not options.standard, seeds=options.seeds)
    verdicts = checks(found)
    shown = plot(options, verdicts)
    rows = [["mean absolute size", *map(str, options.widths), "grows as", ""], *map(row, verdicts)]
    numbers = json_text(as_data(options, args, found, verdicts)) + "\n"
    done = write_asked_for({options.svg: svg(shown), options.json: numbers})
    print(for_stream(shown, sys.stdout), table(rows), verdict(options, verdicts), *done, sep="\n\n")
    return 0 if options.standard or all(check.is_flat for check in verdicts) else 1


def coordinate_parser() -> Parser:
    """Its command line."""
    command = parser("coord-check", "Measure activations at several widths, which muP keeps the same, on a CPU.")
    command.add_argument(
        "--widths",
        type=widths,
        default=[64, 128, 256, 512, 1024],
        metavar="N,N,...",
        help="values of hidden_size, the base model's first (64,128,256,512,1024); heads keep their size",
    )
    command.add_argument("--steps", type=positive, default=4, metavar="N", help="steps of the optimizer (4)")
    command.add_argument("--seeds", type=positive, default=2, metavar="N", help="models to take the mean of (2)")
    command.add_argument("--standard", action="store_true", help="without muP, which is not flat")
    command.add_argument("--svg", type=file_to_write, metavar="FILE", help="draw what changes, as SVG")
    command.add_argument("--json", type=file_to_write, metavar="FILE", help="write all numbers")
    return command


def widths(text: str) -> list[int]:
    """Two widths or more, which rise, as a type for argparse."""
    found = [positive(part.strip()) for part in text.split(",")]
    if len(found) < 2 or sorted(set(found)) != found:
        raise argparse.ArgumentTypeError(f"{text} is not a list of two widths or more that rise, such as 64,128,256")
    return found


def name_of(options: argparse.Namespace) -> str:
    """The parametrisation."""
    return "standard parametrisation" if options.standard else "muP"


def plot(options: argparse.Namespace, verdicts: list[Check]) -> Plot:
    """What training changes, by width."""
    changes = [check for check in verdicts if check.name.startswith("change of ")]
    lines = [Series(check.name.removeprefix("change of "), options.widths, check.values) for check in changes]
    title = f"Change of activations after {options.steps} steps: {name_of(options)}"
    return Plot(title, "hidden_size", "mean absolute change", lines, log_x=True, log_y=True)


def row(check: Check) -> list[str]:
    """One quantity: its size at each width, the power of the width, and whether that is flat."""
    return [
        check.name,
        *(f"{v:.4g}" for v in check.values),
        f"width^{check.exponent:.2f}",
        "flat" if check.is_flat else "",
    ]


def verdict(options: argparse.Namespace, verdicts: list[Check]) -> str:
    """What came of it, in a sentence."""
    worst = max(verdicts, key=lambda check: check.spread)
    span = f"{name_of(options)}, widths {options.widths[0]} to {options.widths[-1]}"
    if worst.is_flat:
        return f"{span}: flat; every quantity is within {worst.spread:.0%} of its mean over the widths"
    number = sum(not check.is_flat for check in verdicts)
    return f"{span}: not flat; {number} of {len(verdicts)} quantities depend on the width, most of all {worst.name}"


def as_data(
    options: argparse.Namespace, args: NeoXArgs, found: list[Coordinates], verdicts: list[Check]
) -> dict[str, Any]:
    """All numbers."""
    return {
        "parametrisation": name_of(options),
        "optimizer": args.optimizer,
        "steps": options.steps,
        "seeds": options.seeds,
        "flat": all(check.is_flat for check in verdicts),
        "widths": options.widths,
        "quantities": [
            {
                "name": one.name,
                "values": one.values,
                "exponent": one.exponent,
                "spread": one.spread,
                "flat": one.is_flat,
            }
            for one in verdicts
        ],
        "by_step": [{"width": one.width, "sizes": one.sizes, "changes": one.changes} for one in found],
    }
