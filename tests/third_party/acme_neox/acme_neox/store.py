"""A store for `acme://`: objects are files beneath a directory; and a companion that counts checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from acme_neox.settings import TraceSettings
from neox_core.checkpoint.remote import SourceFile, Stored, StoreOptions
from neox_core.config import Resolved
from neox_core.plugins import PluginManager
from neox_core.training import Run


class DirectoryStore:
    """The files beneath the path of a URL."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        self.url, self._root = url, Path(url.removeprefix("acme://"))

    def folders(self, within: str = "") -> list[str]:
        place = self._root / within
        return [path.name for path in place.iterdir() if path.is_dir()] if place.is_dir() else []

    def list(self, folder: str) -> Iterator[Stored]:
        for path in (self._root / folder).rglob("*"):
            if path.is_file():
                yield Stored(path.relative_to(self._root).as_posix(), path.stat().st_size)

    def stat(self, name: str) -> Stored | None:
        path = self._root / name
        return Stored(name, path.stat().st_size) if path.is_file() else None

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        yield (self._root / name).read_bytes()[start:stop]

    def write(self, name: str, content: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_bytes(content)
        unfinished.rename(path)

    def upload(self, name: str, source: SourceFile, stopped: Callable[[], bool]) -> int:
        source.check(source.digest())
        self.write(name, b"".join(source.blocks(0, source.size)))
        return source.size

    def delete(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def forget_uploads(self, folder: str) -> None:
        """None is cut short."""


class Tally:
    """Writes how many checkpoints a run has saved."""

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0

    def neox_checkpoint_saved(self, run: Run) -> None:
        self._count += run.is_main
        self._path.write_text(f"{self._count}\n")


def tally(resolved: Resolved, plugins: PluginManager) -> Tally:
    """For one run."""
    return Tally(Path(str(resolved[TraceSettings].acme_tally)))
