"""Keys of NVIDIA's Transformer Engine."""

from typing import Literal

from neox_core.config import Settings, setting


class TransformerEngineSettings(Settings, group="transformer_engine"):
    """Layers of NVIDIA's Transformer Engine, and its 8-bit numbers."""

    te_columnparallel: bool = setting(
        False, "Its linear layers that are cut by output", origin="gpt-neox", changes="speed", pending=True
    )
    te_rowparallel: bool = setting(
        False, "Its linear layers that are cut by input", origin="gpt-neox", changes="speed", pending=True
    )
    te_layernorm_mlp: bool = setting(
        False, "Its norm and MLP in one layer", origin="gpt-neox", changes="speed", pending=True
    )
    te_mha: bool = setting(False, "Its attention layer", origin="gpt-neox", changes="speed", pending=True)
    te_fp8_mha: bool = setting(False, "Attention in 8 bits", origin="gpt-neox", pending=True)
    te_fp8_format: Literal["e4m3", "hybrid"] = setting(
        "hybrid", "e4m3: of all numbers; hybrid: e5m2 in the backward pass", origin="gpt-neox", pending=True
    )
    te_fp8_wgrad: bool = setting(True, "Gradients of weights in 8 bits too", origin="gpt-neox", pending=True)
    te_fp8_amax_history_len: int = setting(
        1, "Steps whose largest values are remembered for scaling", origin="gpt-neox", pending=True, gt=0
    )
    te_fp8_amax_compute_algo: Literal["most_recent", "max"] = setting(
        "most_recent",
        "Which of the remembered values scales: the last, or the largest",
        origin="gpt-neox",
        pending=True,
    )
    te_fp8_margin: int = setting(
        0,
        "Powers of two by which scaling stays below the largest value",
        origin="gpt-neox",
        changes="nothing",
        unused="GPT-NeoX does not read it either",
        ge=0,
    )
