"""`neox config explain KEY`: what a key is and does, and, with files, its value and where that was set."""

from __future__ import annotations

from neox_core.cli.config.known import Known, find_known
from neox_core.cli.config.nested import nested_lines
from neox_core.cli.config.subject import FILES, Subject, look_at, parser, read
from neox_core.cli.config.values import (
    CHANGES,
    FROM_CHECKPOINT,
    default_of,
    heeded,
    inline,
    provider,
    shortened,
    takes,
    whose,
)
from neox_core.config import Resolved
from neox_core.config.derived import DERIVED
from neox_core.config.keys import Key
from neox_core.config.ownership import Ownership
from neox_core.plugins import CommandContext

Lines = list[tuple[str, str]]


def main(argv: list[str], context: CommandContext) -> int:
    """Explain one key.

    Raises:
        UserError: there is no such key.
    """
    command = parser("explain", "What a key is and does; with files, also its value and where that was set.", "*")
    command.usage = f"neox config explain KEY [{FILES} ...]"
    options = command.parse(argv)
    name, words = (options.words[0], options.words[1:]) if options.words else ("", [])
    if not name:
        command.error("name a key")
    subject = look_at(read(words, options, context), options) if words else None
    ownership = subject.args.ownership if subject else Ownership.of(context.plugins)
    known = find_known(name, ownership)
    lines = page(known, ownership, subject)
    width = max((len(label) for label, _ in lines), default=0)
    print("\n".join([f"{known.name}: {known.summary}", *(f"{label:{width}}  {text}" for label, text in lines)]))
    return 0


def page(known: Known, ownership: Ownership, subject: Subject | None) -> Lines:
    """What is known about a name, as labels and texts."""
    if known.key is None:
        return [*known.lines, *computed_lines(known.name, subject)]
    key = ownership.keys[known.key]
    if known.path:
        return [*known.lines, *nested_lines(key, known.path, subject), *shared_lines(key)]
    value = value_lines(key, subject) if subject else []
    about = [("takes", takes(key)), ("default", default_of(key)), *shared_lines(key)]
    return [*known.lines, *value, *about]


def value_lines(key: Key, subject: Subject) -> Lines:
    """A key's value, where it was set, and what it comes to where that is something else."""
    args = subject.args
    value = getattr(args, key.name)
    origin = args.origin(key.name)
    lines = [("value", inline(value)), ("set in", str(origin) if origin else "nowhere: it is the default")]
    if subject.resolved is None:
        return [*lines, ("comes to", "unknown: the settings have mistakes; see `neox config check`")]
    result = outcome(key.name, value, subject.resolved)
    return lines if result == value else [*lines, ("comes to", shortened(result, 200))]


def outcome(name: str, value: object, resolved: Resolved) -> object:
    """What the value of a key comes to in a run."""
    batch = resolved.batch
    outcomes: dict[str, object] = {
        "train_batch_size": batch.total,
        "train_micro_batch_size_per_gpu": batch.micro,
        "gradient_accumulation_steps": batch.accumulation,
        "precision": {"bf16": "bfloat16"}.get(resolved.precision, resolved.precision),
        "attention_config": list(resolved.layers),
        "vocab_size": resolved.vocabulary,
    }
    return outcomes.get(name, resolved.deepspeed.get(name, value))


def computed_lines(name: str, subject: Subject | None) -> Lines:
    """The value of a computed name, where there are settings to compute it from."""
    if name not in DERIVED or subject is None or subject.resolved is None:
        return []
    return [("value", inline(DERIVED[name].compute(subject.args, subject.resolved)))]


def shared_lines(key: Key) -> Lines:
    """What holds for a key and for all within it."""
    effect = heeded(key)
    about = " ".join((key.group.__doc__ or "").strip().partition("\n\n")[0].split())
    return [
        *([("effect", effect)] if effect else []),
        ("group", f"{key.group.group_name}, of {provider(key)}: {about}"),
        ("whose key", whose(key)),
        ("changes", CHANGES[key.changes]),
        ("checkpoint", FROM_CHECKPOINT[key.from_checkpoint]),
    ]
