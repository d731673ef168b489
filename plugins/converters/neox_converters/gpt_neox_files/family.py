"""Directories of GPT-NeoX as a family of checkpoints; importing this costs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_converters.gpt_neox_files.layout import checkpoints, find_checkpoint, is_checkpoint

if TYPE_CHECKING:
    from neox_core.checkpoint import Exported, ExportOptions, ForeignCheckpoint
    from neox_core.config import Resolved


class GPTNeoXDirectories:
    """A `Family`."""

    def recognises(self, path: Path) -> bool:
        """Whether a directory is a checkpoint of GPT-NeoX, or holds some, by the names in it."""
        return is_checkpoint(path) or bool(checkpoints(path))

    def open(self, path: Path, given: Mapping[str, Any]) -> ForeignCheckpoint:
        """A checkpoint: this one, or the one that `latest` names, or the newest.

        Settings are those of the directory configs in it or beside it, then what is given; where `num_layers` and `hidden_size` are
        given, only what is. With `no_load_optim: true` its optimizer state is not read.

        Raises:
            UserError: it is not one, not complete or damaged, or the settings are not those of its tensors.
        """
        from neox_converters.gpt_neox_files.checkpoint import GPTNeoXCheckpoint

        return GPTNeoXCheckpoint(find_checkpoint(path), given)

    def check(self, resolved: Resolved, options: ExportOptions) -> None:
        """Whether GPT-NeoX can express an architecture, and cut it so.

        Raises:
            UserError: it cannot; all reasons, each with the key.
        """
        from neox_converters.gpt_neox_files.writing import check

        check(resolved, options)

    def write(self, exported: Exported, path: Path, options: ExportOptions) -> None:
        """Write `path`/global_step{N}, `path`/latest; with `pipe` 0 one file for each tensor-parallel rank, else files for each layer.

        Raises:
            UserError: what `check` raises, or the file system refuses.
        """
        from neox_converters.gpt_neox_files.writing import write

        write(exported, path, options)
