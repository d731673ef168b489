"""`neox data show`: what is in token files."""

from __future__ import annotations

import argparse
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from neox_commands.data_output import tell
from neox_commands.json_text import add_json, json_text
from neox_core.cli.tables import table
from neox_core.cli.words import positive
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_core.data.token_files import TokenFile


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox data show",
        description="Facts of token files, or one of their documents (a sequence, as training takes it) as ids and, with a tokenizer, "
        "as text. Labels of no loss are -100.",
    )
    command.add_argument("prefix", metavar="PREFIX", help="token files")
    command.add_argument("--document", type=_number, metavar="N", help="the document to show, counted from 0")
    command.add_argument("--offset", type=_number, default=0, metavar="N", help="first token to show (0)")
    command.add_argument("--length", type=positive, metavar="N", help="tokens to show (all)")
    command.add_argument(
        "--tokenizer-type", default="HFTokenizer", metavar="TYPE", help="kind of tokenizer (HFTokenizer)"
    )
    command.add_argument("--vocab-file", metavar="FILE", help="its vocabulary, to show text")
    command.add_argument("--merge-file", metavar="FILE", help="its merges, where it has some")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Show the facts or a document."""
    options = parser().parse(argv)
    from neox_core.data.token_files import open_tokens

    tokens = open_tokens(options.prefix)
    tell(tokens.notices)
    found = facts(tokens) if options.document is None else document(tokens, options)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the text may have what the terminal's encoding lacks
    if options.json:
        print(json_text(found))
    elif options.document is None:
        print(table([[name, f"{value:,}" if isinstance(value, int) else str(value)] for name, value in found.items()]))
    else:
        print(" ".join(map(str, found["ids"])), *([f"\n{found['text']}"] if "text" in found else []), sep="\n")
    return 0


def facts(tokens: TokenFile) -> dict[str, Any]:
    """What there is to know about token files without reading them."""
    import numpy as np

    from neox_core.data.token_files import count

    counts, sizes = count(tokens), tokens.sizes
    lengths = (sizes.min(), np.median(sizes), sizes.max()) if len(tokens) else (0, 0, 0)
    return {
        "prefix": tokens.prefix,
        "format": tokens.format,
        "dtype": tokens.dtype.name,
        "documents": counts.documents,
        "sequences": counts.sequences,
        "tokens": counts.tokens,
        "bytes": counts.bytes,
        **dict(zip(("shortest", "median", "longest"), map(int, lengths), strict=True)),
    }


def document(tokens: TokenFile, options: argparse.Namespace) -> dict[str, Any]:
    """The ids of a document, and its text where there is a tokenizer.

    Raises:
        UserError: there is no such document, or the tokenizer cannot be loaded or does not have an id.
    """
    if options.document >= len(tokens):
        raise UserError(
            f"{tokens.prefix}: there is no document {options.document}; it has {len(tokens)}, counted from 0"
        )
    ids = tokens.get(options.document, options.offset, options.length).tolist()
    shown = {"prefix": tokens.prefix, "document": options.document, "offset": options.offset, "ids": ids}
    needs_no_file = options.tokenizer_type.casefold() == "charleveltokenizer"
    return {**shown, "text": _text(ids, options)} if options.vocab_file or needs_no_file else shown


def _text(ids: list[Any], options: argparse.Namespace) -> str:
    from neox_core.data.token_files import MASKED
    from neox_core.data.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(options.tokenizer_type, options.vocab_file, options.merge_file)
    known = [id for id in ids if id != MASKED]
    for id in known:
        if not (isinstance(id, int) and 0 <= id < tokenizer.vocab_size):
            place = f"{options.prefix}: document {options.document}"
            raise UserError(
                f"{place} has {id}, and the tokenizer {tokenizer.vocab_size} entries; give the one that it was made with"
            )
    return tokenizer.decode(known)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number >= 0")
    return int(text)
