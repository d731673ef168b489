"""Checkpoints of other families as they lie on disk: what a converter plugin does with directories, beside weights in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from neox_core.errors import UserError
from neox_core.plugins import PluginManager
from neox_core.plugins.directories import directories, recognised

if TYPE_CHECKING:
    from torch import Tensor

    from neox_core.checkpoint.lazy import LazyTensors
    from neox_core.config import Resolved
    from neox_core.data.tokenizers import TokenizerSource

WrittenType = Literal["auto", "float32", "bfloat16", "float16"]


class ForeignCheckpoint(Protocol):
    """One checkpoint of another family, opened. Tensors are read when they are asked for, one at a time."""

    @property
    def path(self) -> Path:
        """Its directory."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings, in our keys, as far as it says them: what makes the model at least, the widths from its tensors. Those that were
        given when it was opened are among them, in the place of what it says itself."""

    @property
    def vocabulary(self) -> int | None:
        """Number of token ids, where it says one."""

    @property
    def progress(self) -> Mapping[str, Any] | None:
        """How far its run was, as `Progress.to_dict` has it, with further entries of a checkpoint's state such as the loss scale;
        None: it holds weights alone."""

    @property
    def tokenizer(self) -> TokenizerSource | None:
        """Its tokenizer, where it has one that neox can read."""

    def verify(self) -> None:
        """Look for damage in the files that its tensors are in, as far as they say something of their bytes.

        Raises:
            UserError: there is some; the sentence names the file.
        """

    def weights(self, resolved: Resolved) -> LazyTensors:
        """Its weights under canonical names.

        Raises:
            UserError: one is missing, left over or of another shape than the settings say.
        """

    def states(self, resolved: Resolved) -> Mapping[str, LazyTensors]:
        """Optimizer state and master weights by role ("master", "exp_avg", ...), then canonical name; empty: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What is written as a checkpoint of another family.

    Args:
        path: the checkpoint that it is from, for messages.
        resolved: its settings.
        plugins: where components are looked up.
        weights: by canonical name.
        states: optimizer state by role, then canonical name; empty where there is none.
        progress: as `ForeignCheckpoint.progress`.
        tokenizer: to go along.
    """

    path: Path
    resolved: Resolved
    plugins: PluginManager
    weights: LazyTensors
    states: Mapping[str, LazyTensors]
    progress: Mapping[str, Any] | None
    tokenizer: TokenizerSource | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How it is written.

    Args:
        dtype: of the weights; "auto": the precision of the run.
        tensor: tensor-parallel ranks for which files are cut.
        pipe: stages for which they are.
    """

    dtype: WrittenType = "auto"
    tensor: int = 1
    pipe: int = 1


class Family(Protocol):
    """Checkpoints of one family on disk. Making one costs no torch, nor does `recognises`."""

    def recognises(self, path: Path) -> bool:
        """Whether a directory (or a file) is a checkpoint of this family, by the names and the small files in it."""

    def open(self, path: Path, given: Mapping[str, Any]) -> ForeignCheckpoint:
        """A checkpoint.

        Args:
            path: it, or a directory of checkpoints, of which the newest is meant.
            given: settings that a user gives, for what a checkpoint does not say; with `no_load_optim` nobody wants its `states`.

        Raises:
            UserError: it is not one, damaged or not complete; the sentence names the file.
        """

    def check(self, resolved: Resolved, options: ExportOptions) -> None:
        """Whether the family can express an architecture.

        Raises:
            UserError: it cannot, or is only read; all reasons, each with the key.
        """

    def write(self, exported: Exported, path: Path, options: ExportOptions) -> None:
        """Write a new directory, which appears whole or not at all.

        Raises:
            UserError: what `check` raises, or the file system refuses.
        """


class Reference(Protocol):
    """What a `Family` may do besides: let the program that its checkpoints are made for compute something from one."""

    def reference(self, path: Path, tokens: Tensor) -> tuple[str, Tensor] | None:
        """The program with its version, and the logits that it computes in float32; None where it is not installed.

        Args:
            path: a checkpoint.
            tokens: [batch, seq] int64.

        Returns:
            Its name, and logits [batch, seq, vocabulary].
        """


def families(plugins: PluginManager) -> Iterator[tuple[str, Family]]:
    """Those whose checkpoints can be read from a disk, by the converter's name."""
    yield from directories(plugins)


def find_family(path: Path, plugins: PluginManager) -> tuple[str, Family] | None:
    """The family that a directory is a checkpoint of, or holds some of; None: no plugin knows it."""
    return recognised(path, plugins)


def require_family(path: Path, plugins: PluginManager) -> tuple[str, Family]:
    """The same.

    Raises:
        UserError: no plugin knows it; the sentence says what it seems to be.
    """
    found = find_family(path, plugins)
    if found is not None:
        return found
    known = ", ".join(name for name, _ in families(plugins)) or "none"
    if not path.exists():
        raise UserError(f"{path}: there is no such directory; give that of a checkpoint, or of checkpoints")
    raise UserError(
        f"{path}: {_seen(path)}; it is no checkpoint of neox, nor of a family that a converter reads from disk: {known}"
    )


def _seen(path: Path) -> str:
    """What is known of a directory that nobody recognises."""
    config = path / "config.json"
    if not config.is_file():
        return "there is no global_step.../manifest.json, no config.json and no params.json"
    try:
        described = json.loads(config.read_text(encoding="utf-8"))
        said = [
            f"{key} {described[key]!r}" if described.get(key) else f"no {key}"
            for key in ("model_type", "architectures")
        ]
        return f"config.json says {', '.join(said)}"
    except (ValueError, AttributeError) as error:
        return f"config.json cannot be read ({error})"
