"""The manifest: what proves that a checkpoint is complete, and by which each of its files is known to be undamaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neox_core.checkpoint.layout import checkpoint_path, iteration_of, previous
from neox_core.config.presets import ELSEWHERE, MANIFEST
from neox_core.config.topology import Topology
from neox_core.errors import UserError
from neox_core.files import FileRecord, write_file

FORMAT_VERSION = 1


class DamagedCheckpoint(UserError):
    """A file of a complete checkpoint is not what was written.

    Args:
        checkpoint: its directory.
        name: of the file within it.
        difference: a clause that says what is wrong.
    """

    def __init__(self, checkpoint: Path, name: str, difference: str) -> None:
        self.fact = f"{checkpoint / name} is damaged: {difference}"
        older = previous(checkpoint)
        other = (
            "another checkpoint"
            if older is None
            else f"{older}, the one before: `load_fallback: true` does so by itself"
        )
        super().__init__(f"{self.fact}. Restore it from a copy, or load {other}.")


class RenamedCheckpoint(UserError):
    """A checkpoint is called like that of another step than the one after which it was saved: nothing in it is wrong, nor is it used.

    Args:
        checkpoint: its directory, or its URL.
        iteration: the step that its manifest has.
    """

    def __init__(self, checkpoint: Path | str, iteration: int) -> None:
        own, self.iteration = checkpoint_path(Path(), iteration).name, iteration
        taken = isinstance(checkpoint, Path) and checkpoint.absolute().with_name(own).exists()
        remedy = (
            f"{own} is there, too: remove this one, or give it a name without a step"
            if taken
            else f"rename it back to {own}"
        )
        self.fact = f"its manifest says that it is of step {iteration}: {remedy}"
        super().__init__(f"{checkpoint} was renamed: {self.fact}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a complete checkpoint consists of.

    Args:
        iteration: steps that the run had taken.
        topology: of the ranks that wrote it.
        files: the names, relative to the checkpoint, of all but itself.
        roles: what is kept of parameters ("weight", "exp_avg", ...), in the order of letters; none where it was not noted.
    """

    iteration: int
    topology: Topology
    files: Mapping[str, FileRecord]
    roles: tuple[str, ...] = ()

    @property
    def holds_weights_alone(self) -> bool:
        """Whether it has nothing of an optimizer, as an average and what was converted have not."""
        return self.roles == ("weight",)

    @property
    def world_size(self) -> int:
        """Ranks that wrote it."""
        return self.topology.size

    @property
    def size(self) -> int:
        """Bytes of the checkpoint, without the manifest itself."""
        return sum(record.size for record in self.files.values())

    def write(self, checkpoint: Path) -> None:
        """Write it into the directory `checkpoint`, which makes that complete."""
        # The step is near the beginning, where `saved_step` finds it without reading the rest.
        content = {"format": FORMAT_VERSION, "world_size": self.world_size, **asdict(self)}
        write_file(checkpoint / MANIFEST, json.dumps({**content, "sha256": _digest(content)}, indent=1))

    @classmethod
    def read(cls, checkpoint: Path) -> Manifest:
        """The manifest of the directory `checkpoint`.

        Raises:
            DamagedCheckpoint: it is not what was written.
            RenamedCheckpoint: the directory is called like the checkpoint of another step.
            UserError: a newer version wrote it.
        """
        content = _read(checkpoint / MANIFEST)
        if content["format"] != FORMAT_VERSION:
            raise UserError(
                f"{checkpoint} has checkpoint format {content['format']}, and this version of neox reads format "
                f"{FORMAT_VERSION}: use the version that saved it."
            )
        if iteration_of(checkpoint.absolute().name) not in (None, content["iteration"]):
            raise RenamedCheckpoint(checkpoint, content["iteration"])
        files = {name: FileRecord(**record) for name, record in content["files"].items()}
        # Before there was a topology, ranks differed in their data alone.
        topology = Topology(**content.get("topology", {"data": content["world_size"]}))
        roles = tuple(content.get("roles", ()))
        return cls(iteration=content["iteration"], topology=topology, files=files, roles=roles)

    def missing(self, checkpoint: Path) -> dict[str, str]:
        """The files that are absent from `checkpoint`, or are not as long as they were, each with a clause that says so.

        A directory that has the small files alone lacks nothing: the others were looked for where they are.
        """
        if (checkpoint / ELSEWHERE).exists():
            return {}
        found = {name: _size(checkpoint / name) for name in self.files}
        return {
            name: f"expected {record.size} bytes, found "
            + ("no file" if found[name] is None else f"{found[name]} bytes")
            for name, record in self.files.items()
            if found[name] != record.size
        }

    def strangers(self, names: Iterable[str]) -> tuple[str, ...]:
        """Which of the files that lie in its directory are no part of the checkpoint; nothing reads them."""
        return tuple(sorted(set(names) - self.files.keys() - {MANIFEST}))

    def content(self, checkpoint: Path, name: str) -> bytes:
        """The content of the file `name` of `checkpoint`.

        Raises:
            UserError: the checkpoint has no such file.
            DamagedCheckpoint: it is not what was written, or cannot be read.
        """
        if name not in self.files:
            raise UserError(f"{checkpoint} has no file '{name}'; it has: {', '.join(sorted(self.files))}.")
        try:
            content = (checkpoint / name).read_bytes()
        except OSError as error:
            raise DamagedCheckpoint(checkpoint, name, _unreadable(error)) from error
        self.check_digest(checkpoint, name, hashlib.sha256(content).hexdigest())
        return content

    def check_file(self, checkpoint: Path, name: str) -> None:
        """Read the file `name` of `checkpoint` from end to end.

        Raises:
            DamagedCheckpoint: it is not what was written, or cannot be read.
        """
        try:
            with (checkpoint / name).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise DamagedCheckpoint(checkpoint, name, _unreadable(error)) from error
        self.check_digest(checkpoint, name, digest)

    def check_digest(self, checkpoint: Path, name: str, sha256: str) -> None:
        """Raise DamagedCheckpoint unless `sha256` is the digest that the file `name` had when it was written."""
        if sha256 != self.files[name].sha256:
            raise DamagedCheckpoint(checkpoint, name, "its sha256 is not what was written")


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        digest = content.pop("sha256")
    except OSError as error:
        raise DamagedCheckpoint(path.parent, path.name, _unreadable(error)) from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise DamagedCheckpoint(path.parent, path.name, "it cannot be read") from error
    if digest != _digest(content):
        raise DamagedCheckpoint(path.parent, path.name, "its sha256 is not what was written")
    return content


def _unreadable(error: OSError) -> str:
    return f"it cannot be read ({error.strerror or error})"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
