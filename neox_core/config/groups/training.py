"""How long a run is and towards what."""

from typing import Any

from neox_core.config.settings import Settings, setting


def _switch(description: str) -> Any:
    unused = "a run trains, validates and tests wherever there are data and steps for it"
    return setting(None, description, origin="megatron", changes="nothing", unused=unused)


class TrainingSettings(Settings, group="training"):
    """How long and towards what."""

    train_iters: int | None = setting(None, "Optimizer steps in all", origin="megatron", gt=0)
    train_epochs: int | None = setting(
        None, "How often the training data are seen, in place of train_iters", origin="gpt-neox", gt=0
    )
    train_impl: str = setting("normal", "Training objective, by name", origin="gpt-neox")
    eval_interval: int = setting(1000, "Steps between evaluations", origin="megatron", changes="nothing", gt=0)
    eval_iters: int = setting(
        100, "Batches of one evaluation; 0: no evaluation", origin="megatron", changes="nothing", ge=0
    )
    exit_interval: int | None = setting(
        None, "Save and end after a step that this divides", origin="megatron", changes="nothing", gt=0
    )
    seed: int = setting(1234, "Seed of initialisation, data order and dropout", origin="megatron", gt=0, le=2**32 - 1)
    max_skipped_steps: int = setting(
        50, "So many steps skipped in a row, for non-finite gradients, end the run", changes="nothing", ge=0
    )
    do_train: bool | None = _switch("Whether to train")
    do_valid: bool | None = _switch("Whether to evaluate on validation data")
    do_test: bool | None = _switch("Whether to evaluate on test data at the end")
