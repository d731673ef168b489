"""Where the tokens are, and how samples are made of them."""

from typing import Any, Literal

from neox_core.config.settings import Settings, setting


class DataSettings(Settings, group="data"):
    """Where the tokens are, and how samples are made of them."""

    # Files

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
    train_data_stages: list[dict[str, Any]] | None = setting(
        None, "Weights that change in the course of training: `weights` and the step `until` which they hold, in a list"
    )
    mock_data: bool = setting(
        False, "Samples that are computed from the seed, in place of token files", origin="megatron"
    )
    weight_by_num_documents: bool = setting(
        False,
        "Weigh files by their number of documents, in place of the given weights",
        origin="gpt-neox",
    )
    weighted_sampler_alpha: float = setting(
        1.0,
        "Exponent of the share of documents for weight_by_num_documents; 0: every file alike",
        origin="gpt-neox",
        ge=0,
    )
    data_impl: Literal["infer", "mmap", "cached"] = setting(
        "infer",
        "Format of the token files, which say it themselves; files in another one are refused",
        origin="megatron",
        changes="nothing",
    )
    mmap_warmup: bool = setting(
        False,
        "Read token files once before training, so that they are in memory",
        origin="megatron",
        changes="speed",
    )
    use_shared_fs: bool = setting(
        True,
        "Whether all hosts see the same files; if not, each makes its own index",
        origin="gpt-neox",
        changes="nothing",
    )
    data_cache_path: str | None = setting(
        None, "Directory for the indices of samples; none: beside the token files", origin="megatron", changes="nothing"
    )

    # Samples

    dataset_impl: Literal["gpt2", "pairwise", "online"] = setting(
        "gpt2",
        "Samples of text, pairs of a good and a bad answer, or samples from a server",
        origin="gpt-neox",
    )
    pack_impl: Literal["packed", "pack_until_overflow", "unpacked"] = setting(
        "packed",
        "A sample is a window over all documents, as many whole documents as fit, or one document",
        origin="gpt-neox",
    )
    allow_chopped: bool = setting(
        True, "Use documents longer than a sample, cut, where pack_impl is not packed", origin="gpt-neox"
    )
    reset_attention_mask: bool = setting(
        False, "A token sees nothing of other documents in its sample", origin="megatron", asks="varlen"
    )
    reset_position_ids: bool = setting(False, "Positions begin anew with each document of a sample", origin="megatron")
    eod_mask_loss: bool = setting(False, "No loss where the input is the end-of-document token", origin="megatron")
    short_seq_prob: float = setting(
        0.1,
        "Share of samples that are made shorter",
        origin="megatron",
        changes="nothing",
        unused="every sample is seq_length tokens long",
        ge=0,
        le=1,
    )
    curriculum_learning: dict[str, Any] | None = setting(
        None,
        "Shorter samples at first: `enabled`, `curriculum_type: seqlen`, min_difficulty, max_difficulty, schedule_type, "
        "schedule_config",
        origin="deepspeed",
        pending=True,
    )
    sample_ledger: Literal["first", "all", "none"] = setting(
        "first",
        "Which ranks record place and digest of each step's samples in the run's directory: the first, all, or none",
        changes="nothing",
    )
    num_workers: int = setting(
        2, "Threads that read batches ahead, on each rank; 0: none", origin="megatron", changes="speed", ge=0
    )
