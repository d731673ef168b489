"""Batches of parsed documents out of blocks, and of token ids out of those."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, NamedTuple

import numpy as np
import numpy.typing as npt

from neox_core.data.preparing.blocks import Block
from neox_core.data.preparing.forms.form import MASKED, Column, Document, Form, Tokens
from neox_core.data.preparing.inputs import Inputs
from neox_core.data.preparing.readers import reader_of
from neox_core.data.preparing.records import BadDocument, Record, excerpt
from neox_core.data.preparing.sources import Meter, require_unchanged
from neox_core.errors import UserError


class Position(NamedTuple):
    """How far the input has been taken: its first `block` blocks, and `records` documents of the next."""

    block: int
    records: int = 0


BEGINNING = Position(0)


class Rejection(NamedTuple):
    """A bad document: where it is, why it is bad, and its beginning."""

    block: Block
    member: str | None
    row: int | None
    reason: str
    text: str


@dataclass(slots=True)
class Batch(Generic[Document]):
    """Documents that follow each other in the input.

    Args:
        documents: those that could be parsed, with their records.
        rejections: the others, by how many records of the batch are before them.
        text_bytes: about how much text the records have.
        end: the input's position behind them.
        read: bytes of the inputs' files that have been read.
    """

    documents: list[tuple[int, Block, Record, Document]] = field(default_factory=list)
    rejections: dict[int, Rejection] = field(default_factory=dict)
    text_bytes: int = 0
    end: Position = BEGINNING
    read: int = 0

    def take(self, block: Block, record: Record, form: Form[Document]) -> None:
        """Add a record, parsed or rejected."""
        number = len(self.documents) + len(self.rejections)
        self.text_bytes += _weight(record.raw)
        try:
            self.documents.append((number, block, record, form.parse(record.decode(record.raw))))
        except BadDocument as bad:
            self.rejections[number] = rejection(block, record, bad)


class Part(NamedTuple):
    """What a batch adds to a column: tokens one document after another, [tokens], and their number in each, int32 [documents]."""

    tokens: Tokens
    sizes: npt.NDArray[np.int32]


class Encoded(NamedTuple):
    """A batch as it is written.

    Args:
        parts: what it adds to each column.
        rejections: bad documents, in order.
        empty: how many documents have no tokens.
        text_bytes: about how much text it has.
        end: the input's position behind it.
        read: bytes of the inputs' files that have been read.
        learned: how many labels are not masked; None where there are no labels.
    """

    parts: tuple[Part, ...]
    rejections: tuple[Rejection, ...]
    empty: int
    text_bytes: int
    end: Position
    read: int
    learned: int | None


def batches(
    inputs: Inputs, blocks: range, start: Position, form: Form[Document], batch_bytes: int
) -> Generator[Batch[Document]]:
    """The documents of these blocks from `start` on, in batches of about `batch_bytes` of text.

    Raises `UserError` when a file turns out to have changed once it has been read.
    """
    meter = Meter()
    before = sum(block.size for block in inputs.blocks[blocks.start : start.block])
    skipped = start.records
    batch: Batch[Document] = Batch()
    for number in range(start.block, blocks.stop):
        block = inputs.blocks[number]
        source = inputs.sources[block.source]
        records = reader_of(source.path).read(source, block, meter, form.keys)
        for count, record in enumerate(islice(records, skipped, None), start=skipped + 1):
            batch.take(block, record, form)
            if batch.text_bytes >= batch_bytes:
                batch.end, batch.read = Position(number, count), before + min(meter.distance(), block.size)
                yield batch
                batch = Batch()
        if number + 1 == blocks.stop or inputs.blocks[number + 1].source != block.source:
            require_unchanged(source)
        before, skipped = before + block.size, 0
    batch.end, batch.read = Position(blocks.stop), before
    yield batch


def encoded(batches: Generator[Batch[Document]], form: Form[Document]) -> Generator[Encoded]:
    """The batches as token ids. Raises `UserError` when an id does not fit its column's element type."""
    with closing(batches):
        for batch in batches:
            yield _encoded(batch, form)


def _encoded(batch: Batch[Document], form: Form[Document]) -> Encoded:
    rejections = dict(batch.rejections)
    made = []
    empty = 0
    results = form.encode([document for _, _, _, document in batch.documents])
    for (number, block, record, _), result in zip(batch.documents, results, strict=True):
        if isinstance(result, BadDocument):
            rejections[number] = rejection(block, record, result)
        elif result is None:
            empty += 1
        else:
            made.append(result)
    parts = tuple(_part(column, [parts[place] for parts in made]) for place, column in enumerate(form.columns))
    bad = tuple(rejections[number] for number in sorted(rejections))
    return Encoded(parts, bad, empty, batch.text_bytes, batch.end, batch.read, _learned(form.columns, parts))


def _learned(columns: Sequence[Column], parts: Sequence[Part]) -> int | None:
    labels = [part.tokens for column, part in zip(columns, parts, strict=True) if column.holds_labels]
    return sum(int(np.count_nonzero(tokens != MASKED)) for tokens in labels) if labels else None


def rejection(block: Block, record: Record, bad: BadDocument) -> Rejection:
    """A record that is a bad document."""
    return Rejection(block, record.member, record.row, str(bad), excerpt(record))


def _part(column: Column, documents: Sequence[Tokens]) -> Part:
    sizes = np.fromiter(map(len, documents), np.int32, len(documents))
    tokens = np.concatenate(documents) if documents else np.empty(0, column.dtype)
    if column.dtype.kind in "iu" and tokens.size:
        _require_range(column, int(tokens.min()), int(tokens.max()))
    return Part(tokens.astype(column.dtype, copy=False), sizes)


def _require_range(column: Column, lowest: int, highest: int) -> None:
    limits = np.iinfo(column.dtype)
    if lowest < limits.min or highest > limits.max:
        raise UserError(
            f"{column.name}: the tokenizer gives ids from {lowest} to {highest}, but {column.dtype.name}, which its vocabulary's size "
            f"asks for, holds {limits.min} to {limits.max}; the tokenizer's files do not fit each other."
        )


def _weight(value: Any) -> int:
    """About how many bytes of text a value has."""
    if isinstance(value, (bytes, str)):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_weight, value.values()))
    return sum(map(_weight, value)) if isinstance(value, list) else 8
