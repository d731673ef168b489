"""What lifecycle hooks receive: the run, a finished step, a finished checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neox_core.config import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run, as seen by the rank that calls the hook."""

    name: str
    directory: Path
    resolved: Resolved
    rank: int
    world_size: int
    start_iteration: int  # steps that were done before this process started
    train_iters: int  # the step it ends with
    parameters: int  # of the whole model
    flops_per_token: float  # forward and backward
    resumed_from: Path | None = None

    @property
    def is_main(self) -> bool:
        """Whether this rank speaks for the run: only one does."""
        return self.rank == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Mean loss and metrics over one pass of evaluation batches."""

    split: str  # "validation" or "test"
    loss: float
    batches: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimizer step, averaged over all ranks."""

    iteration: int  # counts from 1
    loss: float
    learning_rate: float  # that the step used
    grad_norm: float | None  # before clipping
    tokens: int  # of all ranks in this step
    samples: int  # consumed since the beginning of training
    seconds: float  # wall-clock of the step
    applied: bool = True
    skip_reason: str | None = None  # why the optimizer was not stepped
    skipped: int = 0  # steps skipped so far
    metrics: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)  # of single parameters, as "gradient_norms/head.weight"
    noise_scale: float | None = None  # of the gradient, in samples, as far as it is known
    loss_scale: float | None = None  # that the step used, in fp16
    evaluations: tuple[Evaluation, ...] = ()  # passes made after this step


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A complete checkpoint: its manifest is on disk."""

    path: Path
    iteration: int
    seconds: float  # that it took
    bytes: int
    paused: float = 0.0  # seconds of these for which training stood still
