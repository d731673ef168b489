"""The token files of a recorded run: those beside the fixture, and those that a rule makes of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files import TokenFileWriter, open_tokens
from neox_core.errors import UserError
from neox_core.testing.fixture import TokenFiles
from neox_core.testing.recorded import file_digest

Ids = npt.NDArray[np.int64]


def _labels(document: int, ids: Ids) -> Ids:
    labels = ids.copy()
    labels[: len(ids) // 3] = -100
    return labels


def _negative(document: int, ids: Ids) -> Ids:
    random = np.random.default_rng(1000 + document)
    other = (ids + random.integers(1, 50, len(ids))) % 499 + 1
    other[-1:] = 0
    return other


def _last(document: int, ids: Ids) -> Ids:
    labels = np.full_like(ids, -100)
    place = min(len(ids), 40) - 1
    labels[place] = ids[place]
    return labels


RULES: Mapping[str, tuple[str, Callable[[int, Ids], Ids]]] = {
    "labels": ("int32", _labels),
    "negative": ("uint16", _negative),
    "last": ("int32", _last),
}
"""Element type, and what a document and its number become, by the name of a rule."""


class RecordedFiles:
    """The token files of one fixture. Those that are derived are written to a directory that lives as long as this object.

    Args:
        directory: of the fixture.
        data: what it says of its files, by the names that its settings use.

    Raises:
        UserError: a file cannot be read, or is derived from none or by no rule.
    """

    def __init__(self, directory: Path, data: Mapping[str, TokenFiles]) -> None:
        self._data, self._beside = data, directory
        self._derived = TemporaryDirectory(prefix="neox-recorded-")
        for name in data:
            self._derive(name)

    def prefixes(self, value: Any) -> Any:
        """The value of a setting, in which the fixture's names of files are replaced by their prefixes."""
        if isinstance(value, list):
            return [self.prefixes(item) for item in value]
        files = self._data.get(str(value))
        return str(self._beside / str(value)) if files is None else str(self._prefix(str(value), files))

    def differences(self) -> int:
        """How many files are not what they were when the run was recorded."""
        return sum(
            digest is not None and file_digest(Path(f"{self._prefix(name, files)}.{part}")) != digest
            for name, files in self._data.items()
            for part, digest in (("bin", files.sha256_bin), ("idx", files.sha256_idx))
        )

    def _prefix(self, name: str, files: TokenFiles) -> Path:
        return Path(self._derived.name) / name if files.source is not None else self._beside / (files.file or name)

    def _derive(self, name: str) -> None:
        files = self._data[name]
        target = self._prefix(name, files)
        if files.source is None or Path(f"{target}.idx").exists():
            return
        rule_name = files.rule or ""
        if files.source not in self._data or rule_name not in RULES:
            raise UserError(
                f"data.{name}: is derived from {files.source!r} by {files.rule!r}; rules are {', '.join(RULES)}"
            )
        self._derive(files.source)
        source = open_tokens(self._prefix(files.source, self._data[files.source]))
        dtype, rule = RULES[rule_name]
        with TokenFileWriter(target, dtype) as writer:
            for document in range(len(source)):
                writer.add(rule(document, source[document].astype(np.int64)))
