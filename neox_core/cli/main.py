"""`neox`: a table from verb to "module:function". Plugins add verbs of their own; none can replace one of these."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import Command, CommandContext, CommandMain, PluginManager, Switches, describe, resolve

COMMANDS = (
    Command("train", "neox_core.cli.train:main", "train a model"),
    Command("run", "neox_core.cli.run:main", "run a function or a recipe with arguments"),
    Command("deepy", "neox_core.cli.deepy:main", "GPT-NeoX's entry point"),
    Command("plugins", "neox_core.cli.plugins:main", "what is installed, what works here, and why not"),
    Command("config", "neox_core.cli.config.main:main", "check, explain, compare and convert settings"),
    Command("doctor", "neox_core.cli.doctor:main", "look at this environment"),
)

USAGE = """\
usage: neox [-p PLUGIN]... [--traceback] VERB ...

Train large autoregressive language models.

{verbs}

`neox VERB --help` describes a verb. Options before it:
  -p MODULE     load a module or a .py file as a plugin
  -p no:NAME    do without a distribution, distribution:plugin or kind.component
  --traceback   show where an error comes from
  --version     show the version"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0, 2 for what the user can mend, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # rather than end where a terminal lacks a letter
    words = list(sys.argv[1:] if argv is None else argv)
    traceback = "--traceback" in words
    if traceback:
        words.remove("--traceback")
        os.environ["NEOX_TRACEBACK"] = "1"
    return reported(lambda: run(words), traceback=traceback)


def reported(work: Callable[[], int], *, traceback: bool = False) -> int:
    """The exit code of some work, with what the user can mend told.

    Args:
        work: returns the exit code.
        traceback: whether errors are let through.
    """
    try:
        return work()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        if traceback:
            raise
        from neox_core.cli.report import report

        report(error)
        return UserError.exit_code if isinstance(error, OSError) else error.exit_code


def run(words: list[str]) -> int:
    """Take off the global options, then hand the rest to the verb."""
    asked: list[str] = []
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--version":
            print(version())
            return 0
        if option in ("-h", "--help"):
            print(usage(CommandContext(switches(asked)).plugins))
            return 0
        if option != "-p" or not words:
            wrong = "needs a name" if option == "-p" else "there is no such option"
            raise UserError(f"{option}: {wrong}; see `neox --help`")
        asked.append(words.pop(0))
    context = CommandContext(switches(asked))
    if not words:
        print(usage(context.plugins))
        return 2
    command = next((command for command in COMMANDS if command.name == words[0]), None)
    command = command or find_command(words[0], context.plugins)
    return load_main(command)(words[1:], context)


def load_main(command: Command) -> CommandMain:
    """The function of a verb.

    Raises:
        UserError: it cannot be imported.
    """
    try:
        function: CommandMain = resolve(command.main)
    except (ImportError, AttributeError) as error:
        message = f"the verb '{command.name}' of {command.source} is broken: {command.main}: {describe(error)}"
        raise UserError(message) from error
    return function


def switches(asked: Sequence[str]) -> Switches:
    """Which plugins are let in, as far as environment and command line say."""
    return Switches.from_environment(os.environ).with_arguments(asked)


def all_commands(plugins: PluginManager) -> dict[str, list[Command]]:
    """Every verb with those who offer it."""
    found: dict[str, list[Command]] = {}
    for command in (*COMMANDS, *plugins.commands()):
        found.setdefault(command.name, []).append(command)
    return found


def find_command(name: str, plugins: PluginManager) -> Command:
    """The verb of this name.

    Raises:
        UserError: there is none, or several plugins offer it.
    """
    commands = all_commands(plugins)
    if name not in commands:
        broken = [f"{plugin.source} ({plugin.availability.reason})" for plugin in plugins.failures()]
        hint = f"; plugins that could not be loaded may offer it: {', '.join(broken)}" if broken else ""
        raise UserError(f"there is no verb '{name}'; {did_you_mean(name, list(commands))}{hint}")
    offers = commands[name]
    if len(offers) > 1:
        sources = " and ".join(command.source for command in offers)
        raise UserError(f"the verb '{name}' is offered by {sources}; disable one of them with -p no:DISTRIBUTION")
    return offers[0]


def usage(plugins: PluginManager) -> str:
    """The help text."""
    commands = [offers[0] for offers in all_commands(plugins).values()]
    width = max(len(command.name) for command in commands)
    lines = [f"  {command.name:{width}}  {command.help}" for command in commands]
    return USAGE.format(verbs="\n".join(lines))


def version() -> str:
    """Name and version of the distribution."""
    from importlib.metadata import version as installed

    return f"neox {installed('neox-toolkit')}"


if __name__ == "__main__":
    sys.exit(main())
