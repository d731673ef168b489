"""Arrays that are kept in files, with a record that is written last: without it, a set is not known to be whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.files import remove_leftovers, replacing, write_file

Arrays = Mapping[str, npt.NDArray[Any]]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ArrayRecord:
    """What a set of files was made from, by its digest, and the bytes of each file."""

    digest: str
    bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ArrayFiles:
    """Files `{base}_{name}.npy`, as `np.save` writes them, and their record `{base}_index.json`."""

    base: Path
    names: tuple[str, ...]

    def path(self, name: str) -> Path:
        """The file of the array `name`."""
        return self.base.with_name(f"{self.base.name}_{name}.npy")

    @property
    def record_path(self) -> Path:
        """The file of the record."""
        return self.base.with_name(f"{self.base.name}_index.json")

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of the set, the record first."""
        return (self.record_path, *map(self.path, self.names))

    @property
    def lock_path(self) -> Path:
        """The file that whoever writes the set holds a lock on."""
        return self.base.with_name(f".{self.base.name}.lock")

    def apart(self, digest: str) -> ArrayFiles:
        """A set beside this one, for arrays made from something else."""
        return ArrayFiles(self.base.with_name(f"{self.base.name}_{digest[:8]}"), self.names)

    def record(self) -> ArrayRecord | None:
        """The record; None where there is none, or none that can be read."""
        try:
            content = json.loads(self.record_path.read_bytes())
            if content["format"] == FORMAT:
                return ArrayRecord(content["digest"], content["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def signature(self) -> tuple[tuple[int, int, int], ...] | None:
        """What changes when a file is written again; None while one is missing."""
        try:
            stats = [self.path(name).stat() for name in self.names]
        except OSError:
            return None
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)

    def load(self, record: ArrayRecord | None = None) -> dict[str, npt.NDArray[Any]] | None:
        """The arrays, mapped from the files; None where any is missing, damaged, or not as long as `record` says."""
        arrays = {}
        try:
            for name in self.names:
                if record and self.path(name).stat().st_size != record.bytes.get(name):
                    return None
                arrays[name] = np.load(self.path(name), mmap_mode="r", allow_pickle=False).view(np.ndarray)
        except (OSError, ValueError, EOFError):
            return None
        return arrays

    def write(self, arrays: Arrays, digest: str) -> None:
        """Replace whatever there is of the set.

        Raises:
            UserError: the file system refuses; there is nothing then that could be taken for a set.
        """
        for path in self.paths:
            path.unlink(missing_ok=True)
        with ExitStack() as stack:  # each is published when all are written
            for name in self.names:
                np.save(stack.enter_context(replacing(self.path(name))), arrays[name], allow_pickle=False)
        self.write_record(digest)

    def write_record(self, digest: str) -> None:
        """Declare the files that are there a whole set. Raises `UserError` where the file system refuses."""
        sizes = {name: self.path(name).stat().st_size for name in self.names}
        write_file(self.record_path, json.dumps({"format": FORMAT, "digest": digest, "bytes": sizes}) + "\n")

    def remove_leftovers(self) -> None:
        """Remove what killed processes left unfinished; only for whoever alone writes."""
        for path in self.paths:
            remove_leftovers(path)
