"""What a run writes, and what it begins from, in NeMo's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import ClassVar

from neox_core import Config
from neox_recipes.part import Meaning, Part, Said, given, same


@dataclass(frozen=True, kw_only=True)
class Log(Part):
    """What a run writes.

    Args:
        name: the run's name.
        dir: where each run gets its own directory; None: under `runs`.
        ckpt_dir: where the checkpoints of all runs are, each under its name; None: no checkpoints.
        every_n_train_steps: steps between checkpoints; None: one at the end.
        keep_last: how many checkpoints are kept; None: all.
        tensorboard_dir: where the files of TensorBoard are; None: there are none.
    """

    name: str = "default"
    dir: str | None = None
    ckpt_dir: str | None = None
    every_n_train_steps: int | None = None
    keep_last: int | None = None
    tensorboard_dir: str | None = None

    meanings: ClassVar[Mapping[str, Meaning]] = {
        "name": Meaning(("run_name",)),
        "dir": Meaning(("runs_dir",)),
        "ckpt_dir": Meaning(("save",), lambda log: log.checkpoints, "with the name after it"),
        "every_n_train_steps": Meaning(("checkpoint_factor",)),
        "keep_last": Meaning(("keep_last_n_checkpoints",)),
        **same("tensorboard_dir"),
    }

    @property
    def checkpoints(self) -> str | None:
        """Where this run's checkpoints are."""
        return None if self.ckpt_dir is None else str(PurePath(self.ckpt_dir, self.name))


@dataclass(frozen=True, kw_only=True)
class Resume(Part):
    """What a run begins from.

    Args:
        resume_if_exists: go on from the newest checkpoint of the run's name, where there is one.
        restore_path: a checkpoint whose weights a new run begins with.
    """

    resume_if_exists: bool = True
    restore_path: str | None = None

    meanings: ClassVar[Mapping[str, Meaning]] = {
        "resume_if_exists": Meaning(words="`load`: where the log's checkpoints are"),
        "restore_path": Meaning(("initial_ckpt_path",)),
    }

    def within(self, log: Log) -> Iterator[Said]:
        """What is gone on from, of a run that writes this."""
        if self.resume_if_exists and log.checkpoints is not None:
            yield Said("load", log.checkpoints, self.origin("resume_if_exists"))


def default_log(
    ckpt_dir: str | None = None, name: str = "default", dir: str | None = None, tensorboard_dir: str | None = None
) -> Config[Log]:
    """The run's name, and where its checkpoints and records are."""
    return Config(Log, name=name, **given(dir=dir, ckpt_dir=ckpt_dir, tensorboard_dir=tensorboard_dir))


def default_resume() -> Config[Resume]:
    """Go on from the newest checkpoint of the run's name, where there is one."""
    return Config(Resume, resume_if_exists=True)
