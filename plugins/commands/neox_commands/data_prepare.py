"""`neox data prepare`: token files from a corpus, or from files of text."""

from __future__ import annotations

import argparse
from pathlib import Path

from neox_core.config.parser import RaisingParser
from neox_core.plugins import CommandContext


def parser() -> RaisingParser:
    """The command line."""
    parser = RaisingParser(
        prog="neox data prepare",
        usage="neox data prepare [CORPUS] [options]\n       neox data prepare --input FILES... --output-prefix PREFIX [options]",
        description="Write token files from a corpus, or from files of text. Without --input, a corpus: `stdlib`, which needs no "
        "network, gets a tokenizer of its own and a part for validation; others are fetched first. Interrupted work goes on when "
        "the same command is given again; what is finished is kept.",
    )
    parser.add_argument("corpus", nargs="?", metavar="CORPUS", help="corpus to prepare (default: enwik8)")
    parser.add_argument(
        "-f", "--force", "--force-redownload", action="store_true", help="make again what is there already"
    )
    parser.add_argument("--workers", type=_positive, metavar="N", help="threads that encode (default: one a core)")
    parser.add_argument(
        "--log-interval",
        type=_positive,
        default=10000,
        metavar="N",
        help="documents between lines of progress (default: %(default)s)",
    )
    _add_corpus(parser.add_argument_group("corpora"))
    _add_input(parser.add_argument_group("files of text"))
    _add_tokenizer(parser.add_argument_group("tokenizer"))
    _add_labels(parser.add_argument_group("labels"))
    _add_chats(parser.add_argument_group("conversations (with --tokenizer-path)"))
    _add_output(parser.add_argument_group("output"))
    return parser


def _add_corpus(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-d",
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="directory to write CORPUS/ into (default: $DATA_DIR, or data)",
    )
    group.add_argument(
        "--vocab-size", type=int, metavar="N", help="most entries of the tokenizer that stdlib gets (default: 2048)"
    )


def _add_input(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--input",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="files, globs, directories, addresses (s3://...), lists of them separated by commas, or - for lines of JSON on standard "
        "input; read by their suffixes: .jsonl .json .txt .dat (.gz .bz2 .xz .zst), .zip .tar .parquet .arrow",
    )
    group.add_argument(
        "--jsonl-keys",
        nargs="+",
        metavar="KEY",
        help="keys of the texts (default: text), or of the conversations (conversation)",
    )
    group.add_argument("--num-docs", type=_positive, metavar="N", help="documents that there are, to show progress")
    group.add_argument("--ftfy", action="store_true", help="mend broken Unicode by the package ftfy")
    group.add_argument("--strict", action="store_true", help="stop at the first document that cannot be used")


def _add_tokenizer(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-t", "--tokenizer-type", "--tokenizer", metavar="TYPE", help="tokenizer, such as HFTokenizer")
    group.add_argument("-v", "--vocab-file", "--vocab", metavar="FILE", help="its vocabulary")
    group.add_argument("-m", "--merge-file", metavar="FILE", help="its merges, if it has them in a file of their own")
    group.add_argument("--append-eod", action="store_true", help="end every text with the end-of-document token")


def _add_labels(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--mask-before-token",
        metavar="ID,...",
        help="write labels that mask everything up to and including the first occurrence of these token ids",
    )


def _add_chats(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--tokenizer-path", type=Path, metavar="DIR", help="a tokenizer with a chat template, as Hugging Face keeps it"
    )
    group.add_argument("--chat-template", type=Path, metavar="FILE", help="a template in place of the tokenizer's")
    group.add_argument("--generation-role", metavar="ROLE", help="whose turns are learned (default: assistant)")
    group.add_argument("--no-mask", action="store_true", help="learn all of it: write no labels")
    group.add_argument("--only-last", action="store_true", help="learn the last turn only")
    group.add_argument("--for-rm", action="store_true", help="for reward models: label the end of the text only")
    group.add_argument("--reward-key", metavar="KEY", help="key of a number that is written beside each conversation")
    group.add_argument(
        "--binary-reward", action="store_true", help="make the reward 1 where its value is true, else -1"
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output-prefix", metavar="PREFIX", help="what the files' names begin with: PREFIX_KEY_document"
    )
    group.add_argument("--dataset-impl", metavar="FORMAT", help="mmap or cached (default: mmap)")
    group.add_argument(
        "--shard", metavar="I/N", help="prepare part I of N, counted from 1; `neox data merge` puts the parts together"
    )


def main(argv: list[str], context: CommandContext) -> int:
    """Prepare a corpus or files, and say what was made. Raises `UserError` for what the user can mend."""
    arguments = parser().parse(argv)
    if arguments.input is None:
        from neox_commands.data_prepare_corpus import prepare_corpus

        prepare_corpus(arguments)
    else:
        from neox_commands.data_prepare_files import prepare_input

        prepare_input(arguments)
    return 0


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)
