"""Where the tokens are."""

from __future__ import annotations

from typing import Literal

from neox_core.config.settings import Settings, setting


class DataSettings(Settings, group="data"):
    """Where the tokens are."""

    data_path: str | None = setting(None, "One token file, by its prefix, cut by `split`", origin="megatron")
    split: str = setting("969, 30, 1", "Parts of data_path for training, validation and test", origin="megatron")
    train_data_paths: list[str] | None = setting(None, "Token files for training, by prefix", origin="gpt-neox")
    valid_data_paths: list[str] | None = setting(None, "Token files for validation", origin="gpt-neox")
    test_data_paths: list[str] | None = setting(None, "Token files for testing", origin="gpt-neox")
    train_data_weights: list[float] | None = setting(
        None, "Weight of each training file; none: equal", origin="gpt-neox"
    )
    valid_data_weights: list[float] | None = setting(None, "Weight of each validation file", origin="gpt-neox")
    test_data_weights: list[float] | None = setting(None, "Weight of each test file", origin="gpt-neox")
    data_impl: Literal["infer", "mmap"] = setting("infer", "Format of the token files", origin="megatron")
    eod_mask_loss: bool = setting(False, "No loss where the input is the end-of-document token", origin="megatron")
