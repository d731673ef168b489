"""`neox plan`: what a run will need of every rank, on machines that are not there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neox_commands.json_text import json_text
from neox_commands.plan_machines import HOST_SLOTS, Gpu, gpu, torn_groups, world_of
from neox_commands.sizes import in_words
from neox_core.cli.config.subject import FILES, read
from neox_core.cli.report import print_notes
from neox_core.cli.words import positive
from neox_core.config import NeoXArgs, ParallelismSettings, World
from neox_core.config.command_line import Parser
from neox_core.errors import Notice, Problem, SettingsError, UserError
from neox_core.plugins import CommandContext
from neox_core.training.machines import find_world, least_ranks

if TYPE_CHECKING:
    from neox_commands.plan_run import Plan
    from neox_core.config import Device, Resolved


def main(argv: list[str], context: CommandContext) -> int:
    """Plan a run.

    Raises:
        UserError: the settings are wrong, or the run does not fit the GPU that was named.
    """
    options = parser().parse(argv)
    card = None if options.gpu is None else gpu(options.gpu)
    args = read(options.words, options, context)
    resolved = resolve(args, world_for(args, options))
    from neox_commands.plan_report import data_of, text_of, verdict
    from neox_commands.plan_run import plan_run

    assert args.plugins is not None
    plan = plan_run(args, resolved, args.plugins)
    print_notes(remarks(resolved))
    if options.json:
        print(json_text(data_of(plan, card)))
    else:
        print(text_of(plan), verdict(plan, card), sep="\n\n")
    if card is not None and plan.worst.memory > card.usable:
        raise UserError(f"the run does not fit {card.name}; {advice(args, plan, card)}")
    return 0


def parser() -> Parser:
    """The command line."""
    made = Parser(prog="neox plan", description="What a run needs of each rank: memory, communication, operations.")
    made.add_argument("words", nargs="+", metavar=FILES, help="configuration files or presets, and overrides")
    made.add_allow()
    made.add_settings_from()
    add = made.add_argument_group("machines").add_argument
    add("--world-size", type=positive, metavar="N", help="as if there were so many ranks")
    add("--hosts", type=positive, metavar="N", help="as if there were so many hosts")
    add("--slots", type=positive, metavar="N", help="GPUs of each host (8)")
    add("--gpu", metavar="NAME", help="what has to suffice: a GPU such as h100-80 or a100-40, or a size such as 80GiB")
    add("--device", choices=("cpu", "cuda"), help="kind of device (cuda)")
    made.add_argument("--json", action="store_true", help="as JSON: bytes and operations")
    return made


def world_for(args: NeoXArgs, options: argparse.Namespace) -> World:
    """The ranks to plan for: those of the options, else those that the settings ask for, else the fewest that the model is cut over.

    Raises:
        UserError: the options contradict each other.
    """
    device: Device = options.device or args.device or "cuda"
    slots = options.slots or args.num_gpus or HOST_SLOTS
    if options.hosts and options.world_size and options.hosts * slots != options.world_size:
        raise UserError(
            f"--world-size {options.world_size} is not {options.hosts} hosts of {slots} slots; leave out one of the options"
        )
    size = options.world_size or (options.hosts and options.hosts * slots)
    if size is None and args.hostfile:
        return find_world(args, device)
    asked = args.num_gpus and args.num_gpus * max(args.num_nodes, 1)
    return world_of(size or args.global_num_gpus or asked or least_ranks(args), slots, device)


def resolve(args: NeoXArgs, world: World) -> Resolved:
    """The settings for these ranks; what only this machine cannot do does not matter.

    Raises:
        SettingsError: there are mistakes in them, or this version cannot train so.
    """
    from neox_core.training.components import component_problems
    from neox_core.training.preflight import open_tokenizer

    assert args.plugins is not None
    tokenizer = open_tokenizer(args) if args.vocab_size is None else None
    try:
        resolved = args.resolve(world, None if tokenizer is None else tokenizer.vocab_size)
    except SettingsError as error:
        raise SettingsError(_mistakes(error.problems)) from error
    problems = [*resolved.limitations, *component_problems(resolved, args.plugins)]
    if mistakes := _mistakes(problems):
        raise SettingsError(mistakes)
    return resolved


def _mistakes(problems: Iterable[Problem]) -> list[Problem]:
    """Without limitations, unless they are about how the run is cut, on whatever machine."""
    cutting = {*ParallelismSettings.model_fields, "zero_optimization"}
    return [problem for problem in problems if not problem.limitation or cutting & {*problem.keys}]


def remarks(resolved: Resolved) -> list[Notice]:
    """What is told beside the plan."""
    found = list(torn_groups(resolved.world, resolved.topology))
    if not found:
        return []
    first, hosts = found[0]
    message = (
        f"the tensor-parallel ranks {first} to {first + resolved.topology.tensor - 1} are on {hosts} hosts, and "
        f"{len(found)} groups of {resolved.topology.size // resolved.topology.tensor} likewise: every layer waits for "
        "the network between them; have model_parallel_size divide the GPUs of a host"
    )
    return [Notice(keys=("model_parallel_size",), message=message)]


def advice(args: NeoXArgs, plan: Plan, card: Gpu) -> str:
    """What to change, in a sentence."""
    from neox_commands.plan_changes import what_fits

    assert args.plugins is not None
    found = what_fits(args, plan, args.plugins, card.usable)
    if found is None:
        return "nor does it with any change that was tried: take more ranks, GPUs with more memory, or a smaller model"
    changes, other = found
    words = " ".join(overrides(changes))
    return f"with {words} it needs {in_words(other.worst.memory)}"


def overrides(changes: Mapping[str, Any]) -> Iterator[str]:
    """Changes as they are written on the command line; of ZeRO's dictionary only the stage is ever changed."""
    for key, value in changes.items():
        if isinstance(value, dict):
            yield f"{key}.stage={value['stage']}"
        else:
            yield f"{key}={json.dumps(value)}"
