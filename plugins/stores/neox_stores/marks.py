"""How the ranks of a run, which copy their own files by their own threads, tell each other what they do: by files.

Rank 0 says which checkpoint is being copied; the others say when theirs of it is there. All see the directory, since all save to it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from neox_core.errors import UserError
from neox_core.files import make_directory

FOLDER = ".copying"
"""In the directory of checkpoints."""


class Mark(NamedTuple):
    """What a rank says.

    Args:
        iteration: of the checkpoint that it is about.
        failed: why the rank's files of it are not there and will not be; None: they are, or are on their way.
        moves: while they are on their way, a number that grows as the rank comes further; None: it is done.
    """

    iteration: int
    failed: str | None = None
    moves: int | None = None


class Marks:
    """The files of one run.

    Args:
        directory: of the checkpoints.
        run: what tells the run from any other that had the directory.
    """

    def __init__(self, directory: Path, run: str) -> None:
        self._folder, self._run = directory / FOLDER, run

    def aim(self, iteration: int, *, go: bool) -> None:
        """Rank 0: this checkpoint is to be copied, and, with `go`, now."""
        self._write("target", {"iteration": iteration, "go": go})

    def end(self) -> None:
        """Rank 0: nothing is copied any more."""
        self._write("target", {"iteration": None})

    @property
    def target(self) -> int | None:
        """The checkpoint that is to be copied; None: there is none, yet or any more."""
        return self._read("target").get("iteration")

    @property
    def going(self) -> int | None:
        """The same once it is to be copied now."""
        content = self._read("target")
        return content.get("iteration") if content.get("go") else None

    @property
    def ended(self) -> bool:
        """Whether rank 0 copies nothing any more."""
        return self._read("target").get("iteration", 0) is None

    def put(self, rank: int, mark: Mark) -> None:
        """A rank has done what it can, or comes further."""
        self._write(f"rank-{rank}", mark._asdict())

    def of(self, rank: int, iteration: int) -> Mark | None:
        """What a rank says about a checkpoint; None: it has said nothing yet."""
        said = self._read(f"rank-{rank}")
        return Mark(iteration, said.get("failed"), said.get("moves")) if said.get("iteration") == iteration else None

    def clear(self) -> None:
        """Rank 0: remove what is there, of this run or of others before."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    def _write(self, name: str, content: dict[str, Any]) -> None:
        """Not synced: it need not outlive the machine."""
        path = self._folder / name
        try:
            make_directory(self._folder)
            unfinished = path.with_name(f".{name}")
            unfinished.write_text(json.dumps({"run": self._run, **content}), encoding="utf-8")
            unfinished.replace(path)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error}; see to the disk") from error

    def _read(self, name: str) -> dict[str, Any]:
        """What a file says; nothing where it is absent, or of another run."""
        try:
            content: dict[str, Any] = json.loads((self._folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if content.get("run") == self._run else {}
