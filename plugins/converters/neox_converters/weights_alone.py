"""What checkpoints have in common that hold weights, and nothing of the run that made them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neox_core.checkpoint import LazyTensors
    from neox_core.config import Resolved
    from neox_core.data.tokenizers import TokenizerSource


class WeightsAlone(ABC):
    """A part of a `ForeignCheckpoint`, which has settings, a tokenizer and weights beside it."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """As `ForeignCheckpoint.settings`."""

    @property
    @abstractmethod
    def tokenizer(self) -> TokenizerSource | None:
        """As `ForeignCheckpoint.tokenizer`."""

    @property
    def vocabulary(self) -> int | None:
        """All rows of the embedding."""
        rows: int = self.settings["vocab_size"]
        return rows

    @property
    def progress(self) -> None:
        """There was no run."""
        return

    def states(self, resolved: Resolved) -> Mapping[str, LazyTensors]:
        """None."""
        return {}

    def _tokenizer_settings(self) -> dict[str, Any]:
        """The tokenizer and its files, as settings say them."""
        source = self.tokenizer
        if source is None:
            return {}
        return {"tokenizer_type": source.tokenizer_type, **{role: file.path for role, file in source.files.items()}}
