"""Keys of all softmax attention."""

from typing import Literal

from neox_core.config import Settings, setting


class SoftmaxSettings(Settings, group="softmax"):
    """How softmax attention is computed."""

    attention_implementation: Literal["auto", "sdpa", "eager", "flex"] = setting(
        "auto",
        "sdpa: torch's scaled_dot_product_attention; flex: its FlexAttention, which needs a GPU to train; eager: step by step, "
        "as GPT-NeoX on a CPU; auto: flex where a GPU would have to make a mask, else sdpa",
        changes="speed",
    )
