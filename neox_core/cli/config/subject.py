"""What the verbs of `neox config` look at: settings that a command line names, and what they come to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from neox_core.cli.choice import chosen_plugins
from neox_core.cli.given import read_given
from neox_core.cli.report import print_notes
from neox_core.cli.sources import source_of
from neox_core.cli.words import positive, ranks_in_words
from neox_core.config import Entry, NeoXArgs, World
from neox_core.config.command_line import Parser
from neox_core.config.loading import read_file
from neox_core.errors import Notice, Origin, Problem, SettingsError
from neox_core.launch import device_kind
from neox_core.plugins import CommandContext, PluginManager
from neox_core.training.machines import find_world, least_ranks

if TYPE_CHECKING:
    from neox_core.config import Resolved

FILES = "FILE | RECIPE | KEY=VALUE"


class Subject(NamedTuple):
    """Settings, the ranks that they are for, and what was found.

    Args:
        resolved: what they come to; None when there are mistakes.
        problems: mistakes and limitations.
    """

    args: NeoXArgs
    plugins: PluginManager
    world: World
    resolved: Resolved | None
    problems: tuple[Problem, ...]

    @property
    def mistakes(self) -> list[Problem]:
        """What is wrong with the settings."""
        return [problem for problem in self.problems if not problem.limitation]

    @property
    def limitations(self) -> list[Problem]:
        """What this machine or this version cannot do."""
        return [problem for problem in self.problems if problem.limitation]

    def sound(self) -> Resolved:
        """What the settings come to.

        Raises:
            SettingsError: there are mistakes in them.
        """
        if self.mistakes or self.resolved is None:
            raise SettingsError(self.mistakes or self.problems)
        return self.resolved


def parser(verb: str, description: str, words: str = "+") -> Parser:
    """The command line of a verb that takes settings and the ranks that they are for."""
    made = Parser(prog=f"neox config {verb}", description=description)
    made.add_argument("words", nargs=words, metavar=FILES, help="configuration files or presets, and overrides")
    made.add_allow()
    made.add_settings_from()
    made.add_argument("--world-size", type=positive, metavar="N", help="as if there were so many ranks")
    made.add_argument("--device", choices=("cpu", "cuda"), help="as if they ran on this kind of device")
    return made


def read(words: Sequence[str], options: argparse.Namespace, context: CommandContext) -> NeoXArgs:
    """The settings that the words name, with the plugins that they and the environment choose.

    Raises:
        UserError: they cannot be read, or are wrong.
    """
    entries = given_keys(words, options, context)
    plugins = chosen_plugins(entries, context)
    return NeoXArgs(entries.values(), plugins, settings_from=source_of(options, plugins))


def given_keys(words: Sequence[str], options: argparse.Namespace, context: CommandContext) -> dict[str, Entry]:
    """The raw keys that the words give; a file without any is told at once, as it may be why others are missing.

    Raises:
        UserError: they cannot be read.
    """
    _, files, entries = read_given(words, options, context)
    named = {entry.origin.source for entry in entries.values()}
    silent = (file for file in files if str(file) not in named and file.is_file())
    empty = (Origin(source=str(file)) for file in silent if not read_file(file))
    print_notes(Notice(message="gives no keys: it is empty, or nothing but comments", origin=file) for file in empty)
    return entries


def look_at(args: NeoXArgs, options: argparse.Namespace) -> Subject:
    """Resolve settings, and look for everything that can be found wrong without reading data."""
    from neox_core.training.components import component_problems

    plugins = args.plugins
    assert plugins is not None
    problems: list[Problem] = []
    size = options.world_size or args.global_num_gpus
    world = World.local(size or least_ranks(args), options.device or args.device or device_kind())
    try:
        here = find_world(args)
        if size is None and (here.size > 1 or world.size == 1) and options.device in (None, here.device):
            world = here
    except SettingsError as error:
        counted = f"looked at as for {ranks_in_words(world)}; --world-size N is for another number"
        problems += [problem._replace(remedy=counted) if problem.limitation else problem for problem in error.problems]
    resolved = None
    try:
        resolved = args.resolve(world)
        problems += [*resolved.limitations, *component_problems(resolved, plugins)]
    except SettingsError as error:
        problems += error.problems
    return Subject(args=args, plugins=plugins, world=world, resolved=resolved, problems=tuple(problems))
