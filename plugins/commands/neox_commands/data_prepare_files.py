"""The preparation of files of text that a command line describes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from neox_commands.data_prepare_options import check_input_options
from neox_commands.data_progress import preparation_progress
from neox_core.data.preparing.forms.form import Encode, Form
from neox_core.data.preparing.inputs import find_inputs
from neox_core.data.preparing.outputs import Format
from neox_core.data.preparing.preparation import Preparation, Prepared, prepare_files
from neox_core.data.preparing.shards import Shard
from neox_core.data.tokenizers import Tokenizer, load_tokenizer
from neox_core.data.tokenizers.encoding import BatchEncoder
from neox_core.errors import UserError

_FORMATS = ("mmap", "cached")


def prepare_input(arguments: argparse.Namespace) -> None:
    """Prepare what `--input` names, and print what was made. Raises `UserError` for what the user can mend."""
    check_input_options(arguments)
    shard = None if arguments.shard is None else parse_shard(arguments.shard)
    if shard is not None and arguments.num_docs is not None:
        raise UserError(
            "--num-docs counts the documents of the whole input, so it says nothing about a --shard; leave one out."
        )
    impl = checked_format(arguments.dataset_impl)
    tokenizer, form = _form(arguments)
    preparation = Preparation(
        inputs=find_inputs(arguments.input),
        prefix=Path(arguments.output_prefix),
        form=form,
        tokenizer=tokenizer.definition,
        impl=impl,
        shard=shard,
        strict=arguments.strict,
        force=arguments.force,
    )
    run(preparation, arguments)


def run(preparation: Preparation, arguments: argparse.Namespace) -> None:
    """Prepare with progress on stderr, and print what was made."""
    started = time.perf_counter()
    with preparation_progress(arguments.log_interval, arguments.num_docs) as progress:
        prepared = prepare_files(preparation, progress)
    print(summary(prepared, time.perf_counter() - started))


def text_form(
    arguments: argparse.Namespace, tokenizer: Tokenizer, *, append_eod: bool, mask_before: Sequence[int] = ()
) -> Form[Any]:
    """The form of texts that are encoded by a tokenizer. Raises `UserError` when it cannot end documents and is to."""
    import numpy as np

    from neox_core.data.preparing.forms.texts import TextForm
    from neox_core.data.token_files import dtype_for_vocabulary

    if append_eod and tokenizer.eod_id is None:
        raise UserError(
            "--append-eod: the tokenizer has no end-of-document token; leave the option out, or add the token."
        )
    return TextForm(
        _encoder(tokenizer, arguments.workers),
        np.dtype(dtype_for_vocabulary(tokenizer.vocab_size)),
        keys=arguments.jsonl_keys or ("text",),
        eod=tokenizer.eod_id if append_eod else None,
        clean=_cleaner() if arguments.ftfy else None,
        mask_before=mask_before,
    )


def parse_shard(text: str) -> Shard:
    """The shard that `I/N` names, counted from 1. Raises `UserError` when there is no such one."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard: '{text}' is no part; the parts of four are 1/4, 2/4, 3/4 and 4/4.")
    return Shard(int(number), int(count))


def summary(prepared: Prepared, seconds: float) -> str:
    """What was made, for people."""
    counts, names = prepared.counts, prepared.names
    lines = [f"{names.tokens(column)}.{{bin,idx}}" for column in names.columns]
    amount = f"{counts.documents:,} documents, {counts.tokens:,} tokens, {counts.text_bytes / 1e6:.1f} MB of text"
    lines.append(amount if prepared.reused else f"{amount} in {seconds:.1f} s{_speed(prepared, seconds)}")
    if counts.learned is not None:
        lines.append(f"{counts.learned:,} tokens are learned{'' if counts.learned else ': every label is masked'}")
    if counts.empty:
        lines.append(f"{_documents(counts.empty)} without tokens left out")
    if counts.bad:
        lines.append(f"{_documents(counts.bad)} could not be used: see {names.rejects}")
    if prepared.resumed:
        lines.append(f"went on after {prepared.resumed:,} documents of an interrupted preparation")
    done = "was there already (--force makes it again)" if prepared.reused else "prepared"
    return "\n".join([*lines, f"{names.prefix} {done}"])


def _documents(count: int) -> str:
    return "1 document" if count == 1 else f"{count:,} documents"


def _speed(prepared: Prepared, seconds: float) -> str:
    if prepared.resumed:
        return ""
    return f": {prepared.counts.text_bytes / 1e6 / seconds:.1f} MB/s, {prepared.counts.tokens / seconds:,.0f} tokens/s"


def checked_format(name: str | None) -> Format:
    """The format of token files of this name, mmap without one. Raises `UserError` when it cannot be written."""
    if name == "lazy":
        raise UserError(
            "--dataset-impl: lazy names a way to read; its files are of the format cached. Use cached, or mmap."
        )
    if name is None:
        return "mmap"
    if name not in _FORMATS:
        raise UserError(f"--dataset-impl: there is no format '{name}'; there are: {', '.join(_FORMATS)}.")
    return cast(Format, name)


def _form(arguments: argparse.Namespace) -> tuple[Tokenizer, Form[Any]]:
    if arguments.tokenizer_path is not None:
        return _chat_form(arguments)
    if arguments.tokenizer_type is None:
        raise UserError(
            "--tokenizer-type: say which tokenizer makes the tokens, such as HFTokenizer with its --vocab-file."
        )
    tokenizer = load_tokenizer(arguments.tokenizer_type, arguments.vocab_file, arguments.merge_file)
    mask = _token_ids(arguments.mask_before_token, tokenizer.vocab_size)
    return tokenizer, text_form(arguments, tokenizer, append_eod=arguments.append_eod, mask_before=mask)


def _chat_form(arguments: argparse.Namespace) -> tuple[Tokenizer, Form[Any]]:
    from neox_core.data.preparing.forms.chat_templates import load_chat_template
    from neox_core.data.preparing.forms.chat_tokenizer import load_chat_tokenizer
    from neox_core.data.preparing.forms.chats import ChatForm, ChatOptions

    template, eos = load_chat_template(arguments.tokenizer_path, arguments.chat_template)
    tokenizer = load_chat_tokenizer(arguments.tokenizer_path)
    options = ChatOptions(
        keys=tuple(arguments.jsonl_keys or ("conversation",)),
        no_mask=arguments.no_mask,
        for_rm=arguments.for_rm,
        generation_role=arguments.generation_role or "assistant",
        only_last=arguments.only_last,
        reward_key=arguments.reward_key,
        binary_reward=arguments.binary_reward,
    )
    eos_id = None if eos is None else tokenizer.backend.token_to_id(eos)
    if eos is not None and eos_id is None:
        raise UserError(
            f"--tokenizer-path: {arguments.tokenizer_path}: the eos_token of tokenizer_config.json, '{eos}', is not in tokenizer.json."
        )
    return tokenizer, ChatForm(_encoder(tokenizer, arguments.workers), template, eos_id, options)


def _encoder(tokenizer: Tokenizer, workers: int | None) -> Encode:
    encoder = BatchEncoder(tokenizer, workers)
    if encoder.notice:
        print(f"note: {encoder.notice}", file=sys.stderr)
    return encoder


def _token_ids(text: str | None, vocab_size: int) -> list[int]:
    if text is None:
        return []
    try:
        ids = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"--mask-before-token: '{text}' is no list of token ids such as 27,187.") from error
    stray = next((number for number in ids if not 0 <= number < vocab_size), None)
    if stray is not None:
        raise UserError(
            f"--mask-before-token: {stray} is no token of this tokenizer; its ids are 0 to {vocab_size - 1}."
        )
    return ids


def _cleaner() -> Callable[[str], str]:
    try:
        from ftfy import fix_text
    except ImportError as error:
        raise UserError("--ftfy needs a package that is missing: pip install 'neox-toolkit[ftfy]'") from error
    return cast("Callable[[str], str]", fix_text)
