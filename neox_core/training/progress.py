"""How far a run is: the plain numbers that a checkpoint keeps beside weights and optimizer state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from neox_core.training.engine import StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counts since the beginning of training.

    Args:
        iteration: steps, skipped ones included.
        applied: steps in which the optimizer was stepped; the learning rate follows this.
        consumed_samples: training samples of all ranks; the place in the data.
        skipped_in_a_row: steps skipped since the last applied one.
    """

    iteration: int = 0
    applied: int = 0
    consumed_samples: int = 0
    skipped_in_a_row: int = 0

    @property
    def skipped(self) -> int:
        """Steps skipped so far."""
        return self.iteration - self.applied

    def after(self, result: StepResult, samples: int) -> Progress:
        """One step further."""
        return replace(
            self,
            iteration=self.iteration + 1,
            applied=self.applied + result.applied,
            consumed_samples=self.consumed_samples + samples,
            skipped_in_a_row=0 if result.applied else self.skipped_in_a_row + 1,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Progress:
        """The inverse of `to_dict`; further entries of a checkpoint's state are not looked at."""
        return cls(**{name: int(state[name]) for name in cls.__slots__})
