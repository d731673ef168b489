"""Prepares a corpus for training: holds documents out, trains a tokenizer, and writes the token files.

What is made lies in one directory, and `prepared.json`, written last, says from what: the same corpus with the same options is
not prepared again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from neox_core.data.corpora import Corpus, Document, distinct
from neox_core.data.holdout import PASSAGE, hold_out
from neox_core.data.token_files import TokenFileWriter, dtype_for_vocabulary
from neox_core.data.tokenizers import END_OF_DOCUMENT, HFTokenizer
from neox_core.data.tokenizers.training import train_bpe
from neox_core.errors import UserError
from neox_core.files import write_file

FORMAT = 1
"""Counted up whenever the same corpus and options would give other files."""

HELD_OUT_SHARE = 0.05
_BATCH = 64  # documents tokenized at once: enough for all cores, few enough for a moving progress bar

Item = TypeVar("Item")
Progress = Callable[[str, int, int], None]
"""Called with the stage ("reading", ...), how much of it is done and how much there is; the total is 0 where it is unknown."""


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What a split consists of: documents, tokens (ends of documents included), and bytes of text."""

    documents: int
    tokens: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A corpus that is ready for training."""

    directory: Path
    vocab_size: int
    train: SplitCounts
    valid: SplitCounts
    reused: bool = False  # it was there already

    @property
    def tokenizer_file(self) -> Path:
        """The tokenizer, for `vocab_file` with `tokenizer_type: HFTokenizer`."""
        return self.directory / "tokenizer.json"

    def prefix(self, split: str) -> Path:
        """The token files of "train" or "valid", for `train_data_paths` and `valid_data_paths`."""
        return _prefix(self.directory, split)


def prepare(
    corpus: Corpus,
    data_dir: str | Path,
    *,
    vocab_size: int = 2048,
    append_eod: bool = True,
    force: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Prepared:
    """Make `{data_dir}/{corpus.name}/` with tokenizer.json, {train,valid}_text_document.{bin,idx} and prepared.json.

    The tokenizer is a byte-level BPE of at most `vocab_size` entries, trained on the training documents alone. `append_eod` ends
    every document with its end-of-document token. `force` prepares again what is there. Raises `UserError` when the corpus is
    too small to hold anything out, or the vocabulary cannot be that small.
    """
    directory = Path(data_dir) / corpus.name
    documents = distinct(_counted(corpus.documents(), 0, "reading", progress))
    source = {
        "format": FORMAT,
        "corpus": corpus.name,
        "content_sha256": _content_hash(documents),
        "options": {
            "vocab_size": vocab_size,
            "append_eod": append_eod,
            "held_out_share": HELD_OUT_SHARE,
            "passage": PASSAGE,
        },
    }
    earlier = None if force else _earlier(directory, source)
    if earlier is not None:
        return earlier

    progress("holding out", 0, 1)
    train, valid = _held_out(corpus.name, documents)
    progress("holding out", 1, 1)
    texts = [document.text for document in train]
    tokenizer = train_bpe(_counted(texts, len(texts), "training the tokenizer", progress), vocab_size)

    _make_directory(directory)
    (directory / "prepared.json").unlink(missing_ok=True)
    write_file(directory / "tokenizer.json", tokenizer.to_json())
    prepared = Prepared(
        directory=directory,
        vocab_size=tokenizer.vocab_size,
        train=_write_split(_prefix(directory, "train"), train, tokenizer, append_eod, progress),
        valid=_write_split(_prefix(directory, "valid"), valid, tokenizer, append_eod, progress),
    )
    _record(prepared, source)
    return prepared


def _content_hash(documents: Sequence[Document]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.name.encode(), document.text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _held_out(corpus: str, documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Training and held-out documents, both in the corpus's order."""
    held = hold_out([document.text for document in documents], HELD_OUT_SHARE)
    train = [document for document, is_held in zip(documents, held, strict=True) if not is_held]
    valid = [document for document, is_held in zip(documents, held, strict=True) if is_held]
    if not train or not valid:
        raise UserError(
            f"Corpus '{corpus}': of its {len(documents)} different documents {len(valid)} can be held out for validation "
            f"and {len(train)} remain for training; both need at least one. Use a corpus with more documents."
        )
    return train, valid


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{directory} cannot be made ({error.strerror}); choose another data directory.") from error


def _write_split(
    prefix: Path, documents: Sequence[Document], tokenizer: HFTokenizer, append_eod: bool, progress: Progress
) -> SplitCounts:
    end = tokenizer.encode(END_OF_DOCUMENT) if append_eod else []
    tokens = 0
    stage = f"tokenizing {prefix.name}"
    with TokenFileWriter(prefix, dtype_for_vocabulary(tokenizer.vocab_size)) as writer:
        for done in range(0, len(documents), _BATCH):
            progress(stage, done, len(documents))
            for ids in tokenizer.encode_batch([document.text for document in documents[done : done + _BATCH]]):
                writer.add([*ids, *end])
                tokens += len(ids) + len(end)
    progress(stage, len(documents), len(documents))
    return SplitCounts(len(documents), tokens, sum(len(document.text.encode()) for document in documents))


def _prefix(directory: Path, split: str) -> Path:
    return directory / f"{split}_text_document"


def _outputs(directory: Path) -> list[Path]:
    tokens = [Path(f"{_prefix(directory, split)}.{kind}") for split in ("train", "valid") for kind in ("bin", "idx")]
    return [directory / "tokenizer.json", *tokens]


def _record(prepared: Prepared, source: dict[str, Any]) -> None:
    """Write prepared.json, which declares the files complete."""
    outputs = {}
    for path in _outputs(prepared.directory):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        outputs[path.name] = {"bytes": path.stat().st_size, "sha256": digest}
    counts = {"vocab_size": prepared.vocab_size, "train": asdict(prepared.train), "valid": asdict(prepared.valid)}
    record = {"source": source, "counts": counts, "outputs": outputs}
    write_file(prepared.directory / "prepared.json", json.dumps(record, indent=2) + "\n")


def _earlier(directory: Path, source: dict[str, Any]) -> Prepared | None:
    """What was prepared from the same source, if it is still as it was written."""
    try:
        record = json.loads((directory / "prepared.json").read_bytes())
        sizes = {path.name: path.stat().st_size for path in _outputs(directory)}
        whole = sizes == {name: output["bytes"] for name, output in record["outputs"].items()}
        if record["source"] != source or not whole:
            return None
        counts = record["counts"]
        train, valid = SplitCounts(**counts["train"]), SplitCounts(**counts["valid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: prepared again
    return Prepared(directory=directory, vocab_size=counts["vocab_size"], train=train, valid=valid, reused=True)


def _counted(items: Iterable[Item], total: int, stage: str, progress: Progress) -> Iterator[Item]:
    """The items as they are, with progress reported at each."""
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        progress(stage, done, total)
    progress(stage, done, done)
