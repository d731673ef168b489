"""How long a run is and towards what."""

from __future__ import annotations

from neox_core.config.settings import Settings, setting


class TrainingSettings(Settings, group="training"):
    """How long and towards what."""

    train_iters: int = setting(..., "Optimizer steps in all", origin="megatron", gt=0)
    train_impl: str = setting("normal", "Training objective, by name", origin="gpt-neox")
    eval_interval: int = setting(1000, "Steps between evaluations", origin="megatron", gt=0)
    eval_iters: int = setting(100, "Batches of one evaluation; 0: no evaluation", origin="megatron", ge=0)
    exit_interval: int | None = setting(None, "Save and end after a step that this divides", origin="megatron", gt=0)
    seed: int = setting(1234, "Seed of initialisation, data order and dropout", origin="megatron", gt=0)
    max_skipped_steps: int = setting(
        50, "So many steps skipped in a row, for non-finite gradients, end the run", origin="neox", ge=0
    )
