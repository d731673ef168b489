"""Which options of `neox data prepare` have a meaning together."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from neox_core.errors import UserError

_CORPUS = ("data_dir", "vocab_size")
_INPUT = ("jsonl_keys", "num_docs", "strict", "output_prefix", "shard", "mask_before_token", "tokenizer_path")
_TEXT = ("tokenizer_type", "vocab_file", "merge_file", "append_eod", "mask_before_token", "ftfy")
_LABELS = ("no_mask", "for_rm", "only_last")
_CHAT = (*_LABELS, "generation_role", "reward_key", "binary_reward", "chat_template")
_NOT_EMBEDDED = ("tokenizer_type", "vocab_file", "merge_file", "ftfy", "dataset_impl")


def check_input_options(arguments: argparse.Namespace) -> None:
    """Raises `UserError` when options are given that say nothing about files of text, or contradict each other."""
    if arguments.corpus is not None:
        raise UserError(f"corpus '{arguments.corpus}' and --input are both given; prepare one at a time.")
    _refuse(arguments, _CORPUS, "has a meaning only for a corpus, without --input.")
    if arguments.tokenizer_path is None:
        _refuse(arguments, _CHAT, "has a meaning only with --tokenizer-path, which prepares conversations.")
    else:
        _refuse(arguments, _TEXT, "has a meaning only without --tokenizer-path, which prepares conversations.")
        _check_chat(arguments)
    _check_keys(arguments.jsonl_keys or [])
    _check_prefix(arguments.output_prefix)


def check_corpus_options(arguments: argparse.Namespace, *, embedded: bool) -> None:
    """Raises `UserError` when options are given that say nothing about a corpus, `embedded` or downloaded."""
    _refuse(arguments, (*_INPUT, *_CHAT), "has a meaning only with --input.")
    if embedded:
        _refuse(arguments, _NOT_EMBEDDED, "says nothing about stdlib, which gets a tokenizer of its own; leave it out.")
    else:
        _refuse(arguments, ("vocab_size",), "has a meaning only for stdlib; name a tokenizer by --tokenizer-type.")


def _check_chat(arguments: argparse.Namespace) -> None:
    labels = [_option(name) for name in _given(arguments, _LABELS)]
    if len(labels) > 1:
        raise UserError(f"{' and '.join(labels)} each say what the labels are; give one of them.")
    if arguments.binary_reward and arguments.reward_key is None:
        raise UserError("--binary-reward has a meaning only with --reward-key, which says where the rewards are.")


def _check_keys(keys: list[str]) -> None:
    twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
    if twice is not None:
        raise UserError(
            f"--jsonl-keys: '{twice}' is named twice; each key gets token files of its own, so name it once."
        )


def _check_prefix(prefix: str | None) -> None:
    if prefix is None:
        raise UserError("--output-prefix: say what the names of the token files are to begin with.")
    if prefix.endswith("/") or Path(prefix).name in ("", ".."):
        raise UserError(
            f"--output-prefix: '{prefix}' is a directory; add what the files' names begin with, such as {Path(prefix) / 'mine'}."
        )


def _refuse(arguments: argparse.Namespace, names: Iterable[str], why: str) -> None:
    for name in _given(arguments, names):
        raise UserError(f"{_option(name)} {why}")


def _given(arguments: argparse.Namespace, names: Iterable[str]) -> list[str]:
    return [name for name in names if getattr(arguments, name) not in (None, False)]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
