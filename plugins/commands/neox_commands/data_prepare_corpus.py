"""The preparation of a corpus by its name."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

from neox_commands.data_fetch import MIRROR, checked_mirror
from neox_commands.data_fetch_progress import watching
from neox_commands.data_prepare_files import checked_format, run, text_form
from neox_commands.data_prepare_options import check_corpus_options
from neox_commands.data_progress import stage_progress
from neox_core.data.corpora import Corpus, load_corpus
from neox_core.data.corpora.catalogue import catalogue
from neox_core.data.corpora.downloaded import DownloadedCorpus
from neox_core.data.corpora.fetching import Place, fetch
from neox_core.data.preparing.embedded import Prepared, prepare
from neox_core.data.preparing.inputs import find_inputs
from neox_core.data.preparing.preparation import Preparation
from neox_core.data.tokenizers import load_tokenizer
from neox_core.errors import UserError

DEFAULT = "enwik8"
"""As in GPT-NeoX."""

_VOCAB_SIZE = 2048
_GPT2, _GPT2_FILES = "GPT2BPETokenizer", "gpt2-vocab"


def prepare_corpus(arguments: argparse.Namespace) -> None:
    """Prepare a corpus, and print what was made. Raises `UserError` for what the user can mend."""
    corpus = load_corpus(arguments.corpus or DEFAULT)
    check_corpus_options(arguments, embedded=isinstance(corpus, Corpus))
    try:
        _prepare(corpus, arguments)
    except UserError as error:
        if arguments.corpus is not None:
            raise
        hint = f"{DEFAULT} is what is prepared where no corpus is named; `neox data prepare stdlib` needs no network."
        raise UserError(f"{error}\n{hint}") from error


def _prepare(corpus: Corpus | DownloadedCorpus, arguments: argparse.Namespace) -> None:
    directory = arguments.data_dir or Path(os.environ.get("DATA_DIR", "data"))
    if isinstance(corpus, Corpus):
        _prepare_embedded(corpus, directory, arguments)
    else:
        _prepare_downloaded(corpus, directory, arguments)


def _prepare_embedded(corpus: Corpus, directory: Path, arguments: argparse.Namespace) -> None:
    started = time.perf_counter()
    with stage_progress() as progress:
        prepared = prepare(
            corpus,
            directory,
            vocab_size=_VOCAB_SIZE if arguments.vocab_size is None else arguments.vocab_size,
            force=arguments.force,
            progress=progress,
        )
    print(_summary(prepared, time.perf_counter() - started))


def _prepare_downloaded(corpus: DownloadedCorpus, directory: Path, arguments: argparse.Namespace) -> None:
    """As GPT-NeoX's prepare_data.py: fetch what is missing, and write DIRECTORY/NAME/NAME_text_document, documents ended."""
    with watching() as observer:
        mirror = checked_mirror(os.environ.get(MIRROR))
        place = Place(data_dir=directory, mirror=mirror, force=arguments.force, observer=observer)
        tokenizer = load_tokenizer(*_tokenizer_files(arguments, place))
        files = corpus.fetch(place)
    preparation = Preparation(
        inputs=find_inputs([str(path) for path in files]),
        prefix=directory / corpus.stem / corpus.stem,
        form=text_form(arguments, tokenizer, append_eod=True),
        tokenizer=tokenizer.definition,
        impl=checked_format(arguments.dataset_impl),
        force=arguments.force,
    )
    run(preparation, arguments)


def _tokenizer_files(arguments: argparse.Namespace, place: Place) -> tuple[str, str | Path | None, str | Path | None]:
    """Kind, vocabulary and merges: GPT-2's, fetched into the data directory, where nothing is said."""
    kind = arguments.tokenizer_type or _GPT2
    if kind != _GPT2 or arguments.vocab_file is not None:
        return kind, arguments.vocab_file, arguments.merge_file
    vocabulary, merges = fetch(catalogue()[_GPT2_FILES], replace(place, force=False))
    return kind, vocabulary.path, arguments.merge_file or merges.path


def _summary(prepared: Prepared, seconds: float) -> str:
    rows = [(str(prepared.tokenizer_file), f"{prepared.vocab_size:,} entries")]
    for split, counts in (("train", prepared.train), ("valid", prepared.valid)):
        amount = f"{counts.documents:,} documents, {counts.tokens:,} tokens, {counts.bytes / 1e6:.1f} MB of text"
        rows.append((f"{prepared.prefix(split)}.{{bin,idx}}", amount))
    width = max(len(path) for path, _ in rows)
    lines = [f"{path:{width}}  {amount}" for path, amount in rows]
    done = "was there already (--force prepares it again)" if prepared.reused else "prepared"
    return "\n".join([*lines, f"{prepared.directory} {done}: {seconds:.1f} s"])
