"""How text becomes tokens."""

from typing import Literal

from neox_core.config.settings import Settings, setting


class TokenizerSettings(Settings, group="tokenizer"):
    """How text becomes tokens."""

    tokenizer_type: Literal[
        "GPT2BPETokenizer", "HFTokenizer", "HFGPT2Tokenizer", "SPMTokenizer", "CharLevelTokenizer", "TiktokenTokenizer"
    ] = setting("GPT2BPETokenizer", "Kind of tokenizer", from_checkpoint="take", origin="gpt-neox")
    vocab_file: str | None = setting(
        None, "Its vocabulary, or its whole definition", from_checkpoint="take", origin="megatron"
    )
    merge_file: str | None = setting(
        None, "Its merges, where they are apart", from_checkpoint="take", origin="megatron"
    )
