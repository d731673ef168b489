"""Keys of DeepSpeed for parts that it has no more; files that have them go on working while they do not ask for these."""

from typing import Any

from neox_core.config.settings import Settings, setting

NO_MORE = "DeepSpeed has none any more"


def _given_up(default: Any, description: str, reason: str = NO_MORE) -> Any:
    return setting(default, description, origin="deepspeed", changes="nothing", unused=reason)


def is_asked_for(value: Any) -> bool:
    """Whether a value of one of these keys wants the part, rather than saying that it is off."""
    return value is True or (isinstance(value, dict) and value.get("enabled", bool(value)) is not False)


class GivenUpSettings(Settings, group="given_up"):
    """Parts of DeepSpeed that it has given up; whoever asks for them is told so before a run."""

    amp: dict[str, Any] | None = _given_up(
        None, "Apex's mixed precision", f"{NO_MORE}; `precision` says the number format"
    )
    compression_training: dict[str, Any] | None = _given_up(None, "Quantisation and pruning while training")
    elasticity: dict[str, Any] | None = _given_up(None, "Batch sizes for changing numbers of ranks")
    sparse_attention: dict[str, Any] | None = _given_up(
        None, "DeepSpeed's sparse attention", "attention_config and sparsity_config say which layers are sparse"
    )
    sparse_gradients: bool = _given_up(False, "Sum gradients of embeddings in sparse form")
