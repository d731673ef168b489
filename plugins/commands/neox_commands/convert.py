"""`neox convert`: checkpoints of other families to ours, ours to theirs, and theirs to others'."""

from __future__ import annotations

import time
from typing import Any

from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.cli.report import print_notes
from neox_core.cli.words import checkpoint_here, directory_to_write, not_negative
from neox_core.config.parser import RaisingParser
from neox_core.errors import Notice, UserError
from neox_core.files import require_room_for
from neox_core.plugins import CommandContext

DTYPES = ("auto", "float32", "bfloat16", "float16")
PUSH = "push"


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox convert",
        description="Convert a checkpoint. FROM is one of neox or of any family that a converter reads from disk (`neox plugins "
        "--kind converter`); TO is made, and appears when it is whole. `neox convert push DIR REPO` uploads a directory to a hub.",
    )
    add = command.add_argument
    add(
        "source",
        metavar="FROM",
        type=checkpoint_here,
        help="a checkpoint, or a directory of checkpoints, of which the newest is meant",
    )
    add("target", metavar="TO", type=directory_to_write, help="a directory that is not there yet, or is empty")
    add(
        "--to",
        metavar="FAMILY",
        help="neox, or a converter; without it: neox for a checkpoint of another family, and for one of neox the family of Hugging "
        "Face that has such models",
    )
    add(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="of the weights; auto: the precision of the run, and in neox as they are",
    )
    add(
        "--tp",
        type=int,
        default=1,
        metavar="N",
        help="tensor-parallel ranks for which files are cut, where a family has that (1)",
    )
    add(
        "--pp",
        type=int,
        default=1,
        metavar="N",
        help="pipeline stages for which they are (1); 0: none, as with pipe_parallel_size: 0",
    )
    add("--iteration", type=not_negative, metavar="N", help="step of the checkpoint to take from a directory")
    add("--config", nargs="+", default=[], metavar="FILE", help="settings, and KEY=VALUE, for what FROM does not say")
    add(
        "--verify",
        action="store_true",
        help="compute logits with the source and with the result, which takes memory for the model",
    )
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Convert it, and say what was written."""
    if argv[:1] == [PUSH]:
        from neox_commands.convert_push import main as push

        return push(argv[1:], context)
    options = parser().parse(argv)
    if options.tp < 1 or options.pp < 0:
        raise UserError(
            f"--tp {options.tp}, --pp {options.pp}: give whole numbers > 0; --pp 0 is GPT-NeoX's files without a pipeline"
        )
    require_room_for(options.target)
    begun = time.monotonic()
    from neox_commands.convert_source import open_source
    from neox_commands.convert_target import choose_target, left_out
    from neox_core.checkpoint import ExportOptions

    source = open_source(options.source, options.iteration, options.config, context)
    target = choose_target(options.to, source, ExportOptions(dtype=options.dtype, tensor=options.tp, pipe=options.pp))
    print_notes(Notice(message=text) for text in target.notes)
    written = target.write(source, options.target)
    print_notes(Notice(message=text) for text in left_out(source, target, options.target))
    found: dict[str, Any] = {
        "from": str(source.exported.path),
        "from_family": source.family,
        "to": str(options.target),
        "to_family": target.family,
        **written,
    }
    if options.verify:
        from neox_commands.convert_verify import verify

        found["verified"] = verify(source, target, options.target)
    found["seconds"] = round(time.monotonic() - begun, 1)
    print(json_text(found) if options.json else in_lines(found))
    return 0


def in_lines(found: dict[str, Any]) -> str:
    """For people."""
    size = f"{found['tensors']} tensors, {in_words(found['bytes'])}, {found['dtype']}"
    lines = [f"{found['to']}: {found['to_family']}, {size}, from {found['from_family']}, in {found['seconds']} s"]
    verified = found.get("verified")
    if verified:
        rounded = f", its weights rounded to {verified['rounded']} too," if "rounded" in verified else ""
        lines.append(
            f"logits of {verified['result']} differ from those of {verified['source']}{rounded} by {verified['difference']:.2g} at "
            f"most, the largest being {verified['largest']:.3g}"
        )
        if rounded:
            lines.append(f"rounding to {verified['rounded']} moves logits by {verified['rounding']:.2g} at most")
    return "\n".join(lines)
