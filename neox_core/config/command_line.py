"""Settings on a command line: files, `key=value` overrides, and the flags that GPT-NeoX's deepy.py has for some keys."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from neox_core.config.entries import overlaid, read_entries
from neox_core.config.entry import Entry
from neox_core.config.parser import RaisingParser
from neox_core.config.presets import find_config, is_readable
from neox_core.errors import Origin, Problem, SettingsError, UserError

if TYPE_CHECKING:
    from neox_core.config.from_checkpoint import SettingsFrom


class Flag(NamedTuple):
    """A flag that sets a key.

    Args:
        names: as it is written, the one for messages last.
        key: what it sets.
        help: what the key means to whoever uses the flag.
        options: what argparse is told beside that.
    """

    names: tuple[str, ...]
    key: str
    help: str
    options: Mapping[str, Any] = MappingProxyType({})

    def entry(self, value: object) -> Entry:
        """The key with a value that this flag was given."""
        return Entry(self.key, value, Origin(source=f"command line ({self.names[-1]})"), overrides=True)


def _task(text: str) -> str:
    """The name of an evaluation task; an override that follows the names would be taken for one more."""
    if "=" in text:
        raise argparse.ArgumentTypeError(f"{text} is not a task; write overrides before --eval_tasks")
    return text


FLAGS: tuple[Flag, ...] = (
    Flag(("--wandb_group",), "wandb_group", "group of this run in Weights & Biases"),
    Flag(("--wandb_run_name",), "wandb_run_name", "its name there"),
    Flag(("--wandb_team",), "wandb_team", "the team that it belongs to there"),
    Flag(("--eval_tasks",), "eval_tasks", "tasks to evaluate on", {"nargs": "+", "type": _task, "metavar": "TASK"}),
    Flag(
        ("--iteration",),
        "iteration",
        "step of the checkpoint to load; the newest by default",
        {"type": int, "metavar": "N"},
    ),
    Flag(("--eval_results_prefix",), "eval_results_prefix", "what the file of evaluation results begins with"),
    Flag(("-H", "--hostfile"), "hostfile", "file with a line `host slots=N` for each machine"),
    Flag(("-i", "--sample_input_file"), "sample_input_file", "file with a prompt on each line, to generate from"),
    Flag(("-o", "--sample_output_file"), "sample_output_file", "file to write generated text to"),
    Flag(("--autotuning",), "autotuning_run", "let DeepSpeed search for a faster setup", {"choices": ("tune", "run")}),
)
"""All flags that stand for a key, in the order of the help text."""


class Parser(RaisingParser):
    """A command line with settings: `-d` and the flags beside what a verb adds; words may stand anywhere between them.

    Args:
        prog: the verb.
        description: what it does.
        without: keys whose flags it has not, since it means something else by them.
    """

    def __init__(self, prog: str, description: str, without: Collection[str] = ()) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        group = self.add_argument_group("settings")
        group.add_argument("-d", "--conf_dir", type=Path, metavar="DIR", help="directory of the configuration files")
        for flag in (flag for flag in FLAGS if flag.key not in without):
            options = {"metavar": "X"} if not flag.options else flag.options
            group.add_argument(*flag.names, dest=f"flag {flag.key}", help=flag.help, **options)

    def add_settings_from(self) -> None:
        """The options by which settings are taken from a checkpoint; `settings_from` reads them."""
        group = self.add_argument_group("settings from a checkpoint")
        add = group.add_argument
        add(
            "--settings-from",
            metavar="CKPT",
            help="checkpoint, run, file or section of one (FILE.yml:SECTION) that says what files and overrides leave open",
        )
        add("--settings-policy", metavar="NAME", help="explicit (mine win) or bionemo (the checkpoint wins)")
        add("--keep", action="append", metavar="KEY", help="a key that stays mine; may be given several times")


def settings_from(options: argparse.Namespace) -> SettingsFrom | None:
    """Where the command line takes settings from, if it does.

    Raises:
        UserError: it says how, and not from where.
    """
    policy, keep = options.settings_policy, options.keep or ()
    if options.settings_from is None:
        if policy or keep:
            raise UserError(f"--{'settings-policy' if policy else 'keep'}: has no effect without --settings-from CKPT")
        return None
    from neox_core.config.from_checkpoint import SettingsFrom
    from neox_core.config.nodes.sections import split

    path, section = split(options.settings_from)
    return SettingsFrom(path, policy=policy or "explicit", name=section or None, also=tuple(keep))


def refuse_settings_options(options: argparse.Namespace, why: str) -> None:
    """Refuse the options of a `Parser` that say something of settings, where a verb takes none.

    Args:
        options: what the parser made of the command line.
        why: what is there in their place, as a sentence goes on.

    Raises:
        UserError: some are given.
    """
    others = (("--conf_dir", "conf_dir"), ("--settings-from", "settings_from"), ("--keep", "keep"))
    named = [
        *((flag.names[-1], f"flag {flag.key}") for flag in FLAGS),
        *others,
        ("--settings-policy", "settings_policy"),
    ]
    given = [name for name, attribute in named if getattr(options, attribute, None) is not None]
    if given:
        raise UserError(f"{', '.join(given)}: {why}; leave {'it' if len(given) == 1 else 'them'} out")


def read_settings(words: Sequence[str], options: argparse.Namespace) -> tuple[list[Path], dict[str, Entry]]:
    """The files among `words`, and the raw keys that they, the overrides and the flags give, strictly in this order.

    Args:
        words: files, presets and overrides.
        options: what a `Parser` made of the command line.

    Raises:
        UserError: a file is not there or cannot be read, a key is given twice, an override is malformed.
    """
    files, overrides = files_and_overrides(words, options.conf_dir)
    return files, with_flags(read_entries(files, overrides), options, overrides)


def with_flags(entries: Mapping[str, Entry], options: argparse.Namespace, overrides: Sequence[str]) -> dict[str, Entry]:
    """The raw keys with those that flags give over them.

    Raises:
        SettingsError: a flag and an override say the same.
    """
    given = [(flag, value) for flag in FLAGS if (value := getattr(options, f"flag {flag.key}", None)) is not None]
    if problems := list(_repeated(given, overrides)):
        raise SettingsError(problems)
    return overlaid(entries, {flag.key: flag.entry(value) for flag, value in given})


def files_and_overrides(words: Iterable[str], directory: Path | None = None) -> tuple[list[Path], list[str]]:
    """The files and presets among `words`, and the `KEY=VALUE` among them; an existing file is a file whatever its name.

    Args:
        words: what was written.
        directory: where the files are; None: here, or among the presets.

    Raises:
        UserError: a word is empty or neither, or a file is named twice.
    """
    words = list(words)
    if not all(words):
        raise UserError("'': an empty word is neither a file nor an override; a variable of the shell may be unset")
    place = directory or Path()
    overrides = [word for word in words if ("=" in word or word.startswith("~")) and not is_readable(place / word)]
    named: dict[Path, Path] = {}
    for word in words:
        if word not in overrides:
            file = find_config(word, directory)
            if named.setdefault(file.resolve(), file) is not file:
                raise UserError(f"{word}: the file is named twice; name it once")
    return list(named.values()), overrides


def _repeated(given: Iterable[tuple[Flag, object]], overrides: Sequence[str]) -> Iterator[Problem]:
    for flag, value in given:
        for override in overrides:
            if override.partition("=")[0].partition(".")[0].replace("-", "_") == flag.key:
                message = f"is given twice, as {flag.names[-1]} ({value!r}) and as {override}"
                yield Problem(keys=(flag.key,), message=message, remedy="remove one")
