"""`neox data prepare`: make a tokenizer and token files from a corpus."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_core.data.prepare import Prepared


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="neox data prepare",
        description="Train a tokenizer on a corpus and write its token files for training and validation. "
        "What is there already, made from the same text with the same options, is kept.",
    )
    parser.add_argument(
        "corpus", nargs="?", default="stdlib", metavar="CORPUS", help="corpus to prepare (default: %(default)s)"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="directory to write CORPUS/ into (default: %(default)s)"
    )
    parser.add_argument(
        "--vocab-size", type=int, default=2048, help="most entries of the tokenizer (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="prepare again what is there already")
    return parser


def main(argv: list[str], context: CommandContext) -> int:
    """Prepare a corpus and say what was made."""
    arguments = parser().parse_args(argv)
    from neox_commands.data_progress import stage_progress
    from neox_core.data.corpora import Corpus, load_corpus
    from neox_core.data.prepare import prepare
    from neox_core.errors import UserError

    corpus = load_corpus(arguments.corpus)
    if not isinstance(corpus, Corpus):
        raise UserError(f"'{corpus.name}' is a download; `neox data fetch {corpus.name}` fetches its files")
    started = time.perf_counter()
    with stage_progress() as progress:
        prepared = prepare(
            corpus,
            arguments.data_dir,
            vocab_size=arguments.vocab_size,
            force=arguments.force,
            progress=progress,
        )
    print(_summary(prepared, time.perf_counter() - started))
    return 0


def _summary(prepared: Prepared, seconds: float) -> str:
    rows = [(str(prepared.tokenizer_file), f"{prepared.vocab_size:,} entries")]
    for split, counts in (("train", prepared.train), ("valid", prepared.valid)):
        amount = f"{counts.documents:,} documents, {counts.tokens:,} tokens, {counts.bytes / 1e6:.1f} MB of text"
        rows.append((f"{prepared.prefix(split)}.{{bin,idx}}", amount))
    width = max(len(path) for path, _ in rows)
    lines = [f"{path:{width}}  {amount}" for path, amount in rows]
    done = "was there already (--force prepares it again)" if prepared.reused else "prepared"
    return "\n".join([*lines, f"{prepared.directory} {done}: {seconds:.1f} s"])
