"""`neox data at`: which documents a step of a run is trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from neox_core.errors import UserError, shortened
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_commands.data_batches import RunBatches
    from neox_core.data.tokenizers import Tokenizer

SHOWN = 300
"""Characters of a sample's text."""

TEXTS = ("text", "pos", "neg")


def main(argv: list[str], context: CommandContext) -> int:
    """Print the documents, offsets and text of each sample of a step."""
    from neox_commands.data_batches import RunBatches, step_parser

    parser = step_parser("at", "Show which documents a step is trained on: where their tokens are, and the text.")
    parser.add_argument("--full", action="store_true", help=f"all of the text, not only {SHOWN} characters of a sample")
    options = parser.parse(argv)
    run = RunBatches.of(options, context)
    position, tokenizer = run.position(options.step), _tokenizer(run)
    rows = [row for rank in run.ranks(options.rank) for row in samples(run, rank, position, tokenizer)]
    if options.json:
        print(json.dumps({"step": options.step, "position": position, "samples": rows}, indent=1))
        return 0
    print(f"step {options.step}: {len(rows)} samples from position {position}")
    for row in rows:
        print("\n".join(in_words(row, SHOWN if not options.full else None)))
    return 0


def samples(run: RunBatches, rank: int, position: int, tokenizer: Tokenizer | None) -> Iterator[dict[str, Any]]:
    """What there is to say of each sample of a rank: where it comes from, its tokens and its text."""
    for micro_batch, numbers in enumerate(run.numbers(rank, position)):
        for number in numbers:
            arrays, sources = run.train[number], run.train.sources(number)
            for name in TEXTS:
                if name in arrays:
                    tokens = arrays[name].tolist()
                    yield {
                        "rank": rank,
                        "micro_batch": micro_batch,
                        "sample": number,
                        "array": name,
                        "sources": [asdict(source) for source in sources.get(name, ())],
                        "tokens": tokens,
                        "text": None if tokenizer is None else tokenizer.decode(tokens),
                    }


def in_words(row: dict[str, Any], most: int | None) -> Iterator[str]:
    """The same as lines."""
    side = "" if row["array"] == "text" else f", {row['array']}"
    yield f"\nrank {row['rank']}, micro-batch {row['micro_batch']}, sample {row['sample']}{side}"
    for source in row["sources"]:
        end = source["offset"] + source["length"]
        yield f"  {source['prefix']}  document {source['document']}, tokens {source['offset']} to {end - 1}"
    if not row["sources"]:
        yield "  computed, from no file"
    text = " ".join(map(str, row["tokens"])) if row["text"] is None else repr(row["text"])
    yield f"  {text if most is None else shortened(text, most)}"


def _tokenizer(run: RunBatches) -> Tokenizer | None:
    """The run's tokenizer; None where it has none, or its file is not here any more."""
    from neox_core.training.preflight import open_tokenizer

    try:
        return open_tokenizer(run.args)
    except UserError:
        return None
