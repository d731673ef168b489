"""`neox config check`: every problem of some settings at once; what only this machine or version cannot do is a note."""

from __future__ import annotations

from neox_core.cli.config.subject import Subject, look_at, parser, read
from neox_core.cli.report import print_notes
from neox_core.cli.words import ranks_in_words
from neox_core.errors import SettingsError
from neox_core.plugins import CommandContext


def main(argv: list[str], context: CommandContext) -> int:
    """Check settings; mistakes are raised together."""
    command = parser("check", "Report every problem of some settings, without starting anything.")
    command.add_argument("--here", action="store_true", help="what cannot run here, or not yet, is an error too")
    options = command.parse(argv)
    subject = look_at(read(options.words, options, context), options)
    if options.here and subject.problems:
        raise SettingsError(subject.problems)
    notices = subject.resolved.notices if subject.resolved else ()
    print_notes([*subject.args.notices, *notices, *subject.limitations])
    subject.sound()
    print(summary(subject))
    return 0


def summary(subject: Subject) -> str:
    """That the settings are in order, in a line."""
    batch = subject.sound().batch
    but = "; a run would be refused here for now, as noted" if subject.limitations else ""
    return f"in order: {len(subject.args.entries)} settings, {ranks_in_words(subject.world)}, {batch.total} samples a step{but}"
