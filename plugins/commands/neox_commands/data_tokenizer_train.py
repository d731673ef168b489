"""`neox data tokenizer train`: a byte-level BPE from text."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from neox_commands.data_progress import StageProgress, stage_progress
from neox_core.errors import UserError
from neox_core.plugins import CommandContext


def parser() -> argparse.ArgumentParser:
    """The command line; its defaults are those of GPT-NeoX's tool."""
    parser = argparse.ArgumentParser(
        prog="neox data tokenizer train",
        description="Train a byte-level BPE and write its tokenizer.json, for `tokenizer_type: HFTokenizer`. "
        "The same text and options give the same file.",
    )
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="files of text, as `neox data prepare` takes them, or stdlib, the sources of Python's standard library",
    )
    add("--output", type=Path, required=True, metavar="FILE", help="the tokenizer.json to write")
    add("--vocab-size", type=int, default=52000, help="most entries (default: %(default)s)")
    add(
        "--normalizer",
        choices=("none", "nfc", "nfkc"),
        default="nfkc",
        help="Unicode normalisation that texts go through first; only with none do all texts decode to themselves "
        "(default: %(default)s)",
    )
    add("--add-prefix-space", action="store_true", help="put a space before texts that begin without one")
    add(
        "--special",
        nargs="+",
        default=["<|endoftext|>", "<|padding|>"],
        metavar="TOKEN",
        help="special tokens, which are the first entries (default: %(default)s)",
    )
    add("--jsonl-key", default="text", metavar="KEY", help="where a line of .jsonl has its text (default: %(default)s)")
    add("--force", action="store_true", help="replace the file if it is there already")
    return parser


def main(argv: list[str], context: CommandContext) -> int:
    """Train a tokenizer, write it, and say what was written."""
    arguments = parser().parse_args(argv)
    if arguments.output.exists() and not arguments.force:
        raise UserError(f"{arguments.output} exists; name another file, or replace it with --force.")

    from neox_core.data.preparing.training_texts import training_texts
    from neox_core.data.tokenizers.training import train_bpe
    from neox_core.files import write_file

    with stage_progress() as progress:
        tokenizer = train_bpe(
            _told(training_texts(arguments.inputs, arguments.jsonl_key), progress),
            arguments.vocab_size,
            normalizer=arguments.normalizer,
            add_prefix_space=arguments.add_prefix_space,
            special=arguments.special,
        )
    write_file(arguments.output, tokenizer.to_json())
    print(f"written: {arguments.output}: {tokenizer.vocab_size:,} entries")
    return 0


def _told(texts: Iterable[str], progress: StageProgress) -> Iterator[str]:
    """The texts as they are, with progress reported at each; once they end, the library learns merges.

    Raises:
        UserError: there is none.
    """
    is_empty = True
    for done, text in enumerate(texts, start=1):
        progress("reading texts", done, 0)
        is_empty = is_empty and not text
        yield text
    if is_empty:
        raise UserError("the inputs have no text; name files that have some.")
    progress("learning merges", 0, 0)
