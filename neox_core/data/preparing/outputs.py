"""The files of a preparation, written together: token files, the reject file, and the record of what they were made from."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from neox_core.data.preparing.feeding import Encoded, Rejection
from neox_core.data.preparing.forms.form import Column
from neox_core.data.preparing.inputs import MADE, Inputs
from neox_core.data.preparing.rejects import Lines, RejectFile
from neox_core.data.preparing.shards import Shard
from neox_core.data.token_files import ResumableWriter, State
from neox_core.errors import UserError
from neox_core.files import make_directory

_RECORD, _REJECTS = MADE

Format = Literal["mmap", "cached"]


@dataclass(frozen=True, slots=True)
class Names:
    """The paths of a preparation's files.

    Args:
        prefix: what they begin with.
        columns: names of the token files.
        shard: which part they are, if any.
    """

    prefix: Path
    columns: tuple[str, ...]
    shard: Shard | None = None

    @property
    def _suffix(self) -> str:
        return self.shard.suffix if self.shard else ""

    def tokens(self, column: str) -> Path:
        """The prefix of a column's token files."""
        return Path(f"{self.prefix}_{column}_document{self._suffix}")

    @property
    def token_files(self) -> list[Path]:
        """All `.bin` and `.idx` files."""
        return [Path(f"{self.tokens(column)}.{kind}") for column in self.columns for kind in ("bin", "idx")]

    @property
    def record(self) -> Path:
        """What they were made from; written last."""
        return Path(f"{self.prefix}{self._suffix}{_RECORD}")

    @property
    def rejects(self) -> Path:
        """The bad documents, if there are any."""
        return Path(f"{self.prefix}{self._suffix}{_REJECTS}")

    @property
    def leftovers(self) -> list[Path]:
        """Working files and locks that there are."""
        name = glob.escape(self.prefix.name)
        return [path for kind in ("part", "lock") for path in self.prefix.parent.glob(f".{name}*.{kind}")]

    @property
    def journal(self) -> Path:
        """How far the preparation is; gone when it is finished."""
        return self.prefix.with_name(f".{self.prefix.name}{self._suffix}.journal.json")


class Outputs:
    """Writes a preparation's token files and reject file; a context manager, after which the working files stay.

    Args:
        names: of the files.
        columns: of the token files.
        impl: their format.
        inputs: whose bad documents are told.
        states: what `checkpoint` gave, to go on from there.

    Raises:
        UserError: somebody else is writing them, or the file system refuses; `WorkingFilesError` when the working files of `states`
            are gone.
    """

    def __init__(
        self, names: Names, columns: Sequence[Column], impl: Format, inputs: Inputs, states: Mapping[str, Any] | None
    ) -> None:
        make_parent(names.prefix)
        kept: Mapping[str, Any] = (states or {}).get("tokens", {})
        self._sources, self._lines = inputs.sources, Lines(inputs)
        with ExitStack() as opened:
            self._writers = []
            for column in columns:
                state = State(**kept[column.name]) if states else None
                writer = ResumableWriter(names.tokens(column.name), column.dtype, impl, state)
                self._writers.append(opened.enter_context(writer))
            self._rejects = RejectFile(names.rejects, states["rejects"] if states else 0)
            opened.callback(self._rejects.close)
            self._opened = opened.pop_all()
        self._names = tuple(column.name for column in columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def add(self, batch: Encoded) -> None:
        """Append a batch. Raises `UserError` when the file system refuses."""
        for writer, part in zip(self._writers, batch.parts, strict=True):
            writer.extend([part.tokens], part.sizes, np.arange(1, len(part.sizes) + 1, dtype="<i8"))
        for bad in batch.rejections:
            self._rejects.add(*self.place(bad), bad)

    def place(self, bad: Rejection) -> tuple[str, str | None, int | None]:
        """File, archive member and line of a bad document."""
        return self._sources[bad.block.source].path, bad.member, self._lines.number(bad.block, bad.row)

    def checkpoint(self) -> dict[str, Any]:
        """Make durable what was added; what is needed to go on, as JSON holds it."""
        tokens = {name: asdict(writer.checkpoint()) for name, writer in self._named()}
        return {"tokens": tokens, "rejects": self._rejects.checkpoint()}

    def publish(self) -> None:
        """Give all files their names; can be done again when it was interrupted."""
        for writer in self._writers:
            writer.publish()
        self._rejects.publish()

    def discard(self) -> None:
        """Remove the working files."""
        for writer in self._writers:
            writer.discard()
        self._rejects.discard()

    def _named(self) -> Iterator[tuple[str, ResumableWriter]]:
        return zip(self._names, self._writers, strict=True)


def make_parent(path: Path) -> None:
    """Make the directory of `path`. Raises `UserError` when that is refused."""
    try:
        make_directory(path.absolute().parent)
    except OSError as error:
        raise UserError(
            f"--output-prefix: {path.parent} cannot be made ({error.strerror}); choose another prefix."
        ) from error
