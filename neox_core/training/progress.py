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
        applied: steps in which the optimizer was stepped.
        consumed_samples: training samples of all ranks; the place in the data.
        skipped_in_a_row: steps skipped since the last applied one.
        scheduled: applied steps since the learning rate's schedule began, which may be later than training did.
    """

    iteration: int = 0
    applied: int = 0
    consumed_samples: int = 0
    skipped_in_a_row: int = 0
    scheduled: int = 0

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
            scheduled=self.scheduled + result.applied,
            consumed_samples=self.consumed_samples + samples,
            skipped_in_a_row=0 if result.applied else self.skipped_in_a_row + 1,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Progress:
        """The inverse of `to_dict`; further entries of a checkpoint's state are not looked at."""
        older = {"scheduled": state["applied"]}  # of checkpoints from before there was such a count
        return cls(**{name: int((older | state)[name]) for name in cls.__slots__})
