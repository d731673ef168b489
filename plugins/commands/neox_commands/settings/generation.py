"""Keys of text generation."""

from typing import Any, Literal

from neox_core.config import Settings, setting


def _option(default: Any, description: str, **further: Any) -> Any:
    return setting(default, description, origin="gpt-neox", changes="nothing", **further)


class GenerationSettings(Settings, group="generation"):
    """What a trained model writes, and how."""

    text_gen_type: Literal["unconditional", "input-file", "interactive", "precompute"] | None = _option(
        None,
        "Write from nothing, from the prompts of a file, from typed prompts, or log-probabilities of token files; "
        "none: from sample_input_file where it is given, else from nothing",
    )
    temperature: float = _option(
        0.0, "Logits are divided by this; 0, with top_k and top_p 0 too: the likeliest token", ge=0
    )
    top_k: int = _option(0, "Draw from so many of the likeliest tokens; 0: from all", ge=0)
    top_p: float = _option(
        0.0, "Draw from the likeliest tokens that together have this probability; 0: from all", ge=0, le=1
    )
    maximum_tokens: int = _option(64, "Tokens of one answer", aliases=("max_tokens",), gt=0)
    num_samples: int = _option(1, "Texts to write from nothing", gt=0)
    prompt_end: str = _option("\n", "What ends a prompt")
    sample_input_file: str | None = _option(None, "File with prompts, each ended by prompt_end")
    sample_output_file: str = _option("samples.txt", "File for what is written, as lines of JSON")
    return_logits: bool = _option(False, "Write the logits of each token too", pending=True)
    recompute: bool = _option(
        False, "Read the whole text again for each token, rather than keep keys and values", pending=True
    )
