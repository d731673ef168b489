"""What this plugin offers: sequence mixers."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Attention, Component, Feature

SOFTMAX_SETTINGS = (
    "neox_attention.settings.softmax:SoftmaxSettings",
    "neox_attention.settings.window:WindowSettings",
)
SOFTMAX_FEATURES = frozenset(
    {
        Feature.ALIBI,
        Feature.COMPILE,
        Feature.DETERMINISTIC,
        Feature.DROPOUT,
        Feature.GQA,
        Feature.KV_CACHE,
        Feature.ROPE,
        Feature.RPE,
        Feature.SLIDING_WINDOW,
        Feature.VARLEN,
    }
)
"""What all softmax attention does."""


def neox_components() -> Iterable[Component]:
    """The variants."""
    yield Attention(
        name="global",
        summary="full causal attention by torch's scaled_dot_product_attention",
        factory="neox_attention.global_attention:GlobalAttention",
        settings=SOFTMAX_SETTINGS,
        supports=SOFTMAX_FEATURES,
    )


def neox_settings() -> Iterable[str]:
    """Keys that no component names yet."""
    return [
        "neox_attention.settings.sparse:SparseSettings",
        "neox_attention.settings.gmlp:GMLPSettings",
        "neox_attention.settings.mamba:MambaSettings",
        "neox_attention.settings.rwkv:RWKVSettings",
        "neox_attention.settings.transformer_engine:TransformerEngineSettings",
    ]
