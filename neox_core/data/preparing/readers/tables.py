"""Tables: parquet by row groups, Arrow files by record batches. Both need pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neox_core.data.preparing.blocks import Block
from neox_core.data.preparing.compression import DAMAGE
from neox_core.data.preparing.readers.reader import unharmed, whole
from neox_core.data.preparing.records import Fields, Record
from neox_core.data.preparing.sources import Meter, Source, open_source
from neox_core.errors import UserError

_ROWS = 64  # rows that are turned into Python values at once
_DAMAGE: tuple[type[Exception], ...] = (*DAMAGE, ValueError)  # which pyarrow's ArrowInvalid is


@dataclass(frozen=True, slots=True)
class ParquetReader:
    """Reads a row group of a parquet file."""

    def cut(self, source: Source, number: int) -> list[Block]:
        """One block a row group."""
        parquet = _pyarrow("parquet")
        try:
            with open_source(source) as file:
                groups = parquet.ParquetFile(file).metadata
                facts = [groups.row_group(group) for group in range(groups.num_row_groups)]
                sizes = [(group.total_byte_size, group.num_rows) for group in facts]
        except _DAMAGE as error:
            raise UserError(f"{source.path} is no parquet file that can be read ({error}); get it again.") from error
        blocks, rows = [], 0
        for group, (size, count) in enumerate(sizes):
            blocks.append(Block(number, size, group, group + 1, rows))
            rows += count
        return blocks

    def read(self, source: Source, block: Block, meter: Meter, keys: Sequence[str]) -> Iterator[Record]:
        """The rows of the group, with the columns of `keys` that there are."""
        with open_source(source) as file:
            yield from unharmed(source.path, _parquet_records(file, block, keys), _DAMAGE)


def _parquet_records(file: Any, block: Block, keys: Sequence[str]) -> Iterator[Record]:
    table = _pyarrow("parquet").ParquetFile(file)
    columns = [name for name in table.schema_arrow.names if name in keys]
    batches = table.iter_batches(_ROWS, row_groups=list(range(block.start, block.stop)), columns=columns)
    yield from _rows(batches, columns)


@dataclass(frozen=True, slots=True)
class ArrowReader:
    """Reads record batches of an Arrow file, of the kind with a footer or of a stream, as Hugging Face datasets are on disk."""

    def cut(self, source: Source, number: int) -> list[Block]:
        """The whole file: there is no way to a batch of a stream but through those before it."""
        return whole(source, number)

    def read(self, source: Source, block: Block, meter: Meter, keys: Sequence[str]) -> Iterator[Record]:
        """The rows of the file, with the columns of `keys` that there are."""
        with meter.watch(open_source(source)) as file:
            yield from unharmed(source.path, _arrow_records(file, keys), _DAMAGE)


def _arrow_records(file: Any, keys: Sequence[str]) -> Iterator[Record]:
    ipc = _pyarrow("ipc")
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    reader = ipc.open_file(file) if is_file else ipc.open_stream(file)
    columns = [name for name in reader.schema.names if name in keys]
    whole_batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else iter(reader)
    small = (batch.slice(row, _ROWS) for batch in whole_batches for row in range(0, batch.num_rows, _ROWS))
    yield from _rows((batch.select(columns) for batch in small), columns)


def _rows(batches: Any, columns: Sequence[str]) -> Iterator[Record]:
    row = 0
    for batch in batches:
        for fields in batch.to_pylist() if columns else [{}] * batch.num_rows:
            yield Record(fields, _as_it_is, row)
            row += 1


def _as_it_is(raw: Mapping[str, Any]) -> Fields:
    return raw


def _pyarrow(module: str) -> Any:
    try:
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(
            "Parquet and Arrow files need a package that is missing: pip install 'neox-toolkit[pyarrow]'"
        ) from error
    return getattr(pyarrow, module)
