"""Saving, resuming, and beginning with the weights of another model."""

from typing import Annotated, Literal

from pydantic import Field

from neox_core.config.settings import Settings, setting


class CheckpointSettings(Settings, group="checkpoint"):
    """Saving, resuming, and beginning with the weights of another model."""

    # Saving

    save: str | None = setting(
        None, "Directory for checkpoints; none: nothing is saved", origin="megatron", changes="nothing"
    )
    checkpoint_factor: int | float | None = setting(
        None,
        "Steps between checkpoints, or, with checkpoint_scale: log, by what their step is multiplied; none: only at the end",
        origin="gpt-neox",
        changes="nothing",
        aliases=("save_interval",),
        gt=0,
    )
    checkpoint_scale: Literal["linear", "log"] = setting(
        "linear",
        "linear: a checkpoint every checkpoint_factor steps; log: after the whole parts of its powers",
        origin="gpt-neox",
        changes="nothing",
    )
    extra_save_iters: list[Annotated[int, Field(ge=0)]] | None = setting(
        None,
        "Further steps after which to save; 0: before the first one",
        origin="gpt-neox",
        changes="nothing",
        aliases=("save_iters",),
    )
    checkpoint_async: bool = setting(
        False,
        "Write checkpoints beside training, which stands still only while a copy is made in the host's memory",
        changes="speed",
    )
    keep_last_n_checkpoints: int | None = setting(
        None, "How many to keep; none: all", origin="gpt-neox", changes="nothing", gt=0
    )
    no_save_optim: bool = setting(
        False,
        "Checkpoints without the state of the optimizer",
        origin="megatron",
        changes="nothing",
        unused="a checkpoint is always complete",
    )
    no_save_rng: bool = setting(
        False,
        "Checkpoints without the state of the random generators",
        origin="megatron",
        changes="nothing",
    )
    s3_path: str | None = setting(
        None,
        "`s3://BUCKET/PREFIX`, or another URL, beneath which checkpoints are copied to a folder named like the last part of `save`; "
        "the directory of a `file://` has to be there",
        origin="gpt-neox",
        changes="nothing",
    )
    s3_chunk_size: int = setting(
        104_857_600, "Bytes in one part of an upload to s3_path", origin="gpt-neox", changes="speed", gt=0
    )
    remote_timeout: float = setting(60.0, "Seconds that the store of a URL may take to answer", changes="nothing", gt=0)
    remote_wait: float = setting(
        1800.0, "Seconds that the end of a run waits at most for copies to s3_path", changes="nothing", ge=0
    )
    remote_cache: str | None = setting(
        None,
        "Directory for checkpoints that are copied from URLs; none: `.remote` in `save`, else ~/.cache/neox/checkpoints",
        changes="nothing",
    )
    checkpoint_validation_with_forward_pass: bool = setting(
        False,
        "Store the outputs of one forward pass with each checkpoint, and compare them after loading",
        origin="gpt-neox",
        changes="nothing",
    )

    # Resuming

    load: str | None = setting(
        None, "Directory with checkpoints to resume from, or one of them, or a URL of these", origin="megatron"
    )
    iteration: int | None = setting(
        None, "Step of the checkpoint to resume from; none: the newest", origin="gpt-neox", ge=0
    )
    load_required: bool = setting(
        False, "Refuse to begin anew where `load`, which is `save` too, holds no checkpoint yet", changes="nothing"
    )
    load_fallback: bool = setting(
        False, "Where the newest checkpoint is damaged take the one before, and say so", changes="nothing"
    )
    finetune: bool = setting(False, "Take the weights alone from `load`, and begin at step 0", origin="megatron")
    no_load_optim: bool = setting(
        False, "Resume without the state of the optimizer, and with the schedule at its beginning", origin="megatron"
    )
    no_load_rng: bool = setting(False, "Resume without the state of the random generators", origin="megatron")

    # Beginning with the weights of another model

    initial_ckpt_path: str | None = setting(
        None,
        "Checkpoint, also of another family, directory of checkpoints, or URL of either, whose weights alone a run begins with; "
        "resuming from `load` wins",
    )
    initial_ckpt_skip_keys_with_these_prefixes: list[str] = setting(
        [], "Beginnings of the names of weights that are initialised instead of read from initial_ckpt_path"
    )
