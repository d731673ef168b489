"""Training: the engine over DeepSpeed, the loop, and what a run is to those who watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.training.engine import Engine as Engine, StepResult as StepResult
    from neox_core.training.initial_weights import (
        WeightsReport as WeightsReport,
        update_model_from_checkpoint as update_model_from_checkpoint,
    )
    from neox_core.training.run import Checkpoint as Checkpoint, Evaluation as Evaluation, Run as Run, Step as Step
    from neox_core.training.schedule import ScheduleShape as ScheduleShape
    from neox_core.training.trained import (
        Trained as Trained,
        filled_model as filled_model,
        load_trained as load_trained,
        settings_of as settings_of,
    )

__getattr__ = lazy_names(
    __name__,
    {
        "engine": ("Engine", "StepResult"),
        "initial_weights": ("WeightsReport", "update_model_from_checkpoint"),
        "run": ("Checkpoint", "Evaluation", "Run", "Step"),
        "schedule": ("ScheduleShape",),
        "trained": ("Trained", "filled_model", "load_trained", "settings_of"),
    },
)
