"""What this plugin offers: attention variants."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Attention, Component, Feature


def neox_components() -> Iterable[Component]:
    """The variants."""
    return [
        Attention(
            name="global",
            summary="full causal attention by torch's scaled_dot_product_attention",
            factory="neox_attention.global_attention:GlobalAttention",
            supports=frozenset(
                {Feature.ROPE, Feature.GQA, Feature.KV_CACHE, Feature.VARLEN, Feature.DROPOUT, Feature.DETERMINISTIC}
            ),
        )
    ]


def neox_settings() -> Iterable[str]:
    """Keys that no component names yet."""
    return [
        "neox_attention.settings.window:WindowSettings",
        "neox_attention.settings.sparse:SparseSettings",
        "neox_attention.settings.gmlp:GMLPSettings",
        "neox_attention.settings.mamba:MambaSettings",
        "neox_attention.settings.rwkv:RWKVSettings",
        "neox_attention.settings.transformer_engine:TransformerEngineSettings",
    ]
