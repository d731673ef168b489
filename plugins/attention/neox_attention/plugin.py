"""What this plugin offers: sequence mixers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from neox_core.plugins import Attention, Component, Feature, resolve

if TYPE_CHECKING:
    from neox_core.config import NeoXArgs
    from neox_core.errors import Problem

SOFTMAX_SETTINGS = (
    "neox_attention.settings.softmax:SoftmaxSettings",
    "neox_attention.settings.window:WindowSettings",
)
CUT_FEATURES = frozenset({Feature.PP, Feature.SP, Feature.TP})
"""How a model of any of them may be cut."""
SOFTMAX_FEATURES = CUT_FEATURES | frozenset(
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
CONTEXT_FEATURES = SOFTMAX_FEATURES | {Feature.CP}
"""What those do that share the tokens of a sample."""
BLOCK_FEATURES = CUT_FEATURES | frozenset({Feature.COMPILE, Feature.DETERMINISTIC, Feature.KV_CACHE, Feature.VARLEN})
"""What all mixers do that take the place of a block."""

SPARSE = {
    "local": ("a sliding window of blocks", "local:LocalAttention"),
    "sparse_fixed": ("windows of blocks, and blocks that stand for them", "fixed:FixedAttention"),
    "sparse_variable": ("windows of any sizes, global and random blocks", "variable:VariableAttention"),
    "bigbird": ("a sliding window, global and random blocks", "bigbird:BigBirdAttention"),
    "bslongformer": ("a sliding window and global blocks", "bslongformer:BSLongformerAttention"),
}
"""Block-sparse attention: summary and factory of each layout."""

RULES = (
    "neox_attention.context_rules:problems",
    "neox_attention.gmlp_rules:problems",
    "neox_attention.mamba_rules:problems",
    "neox_attention.rwkv_rules:problems",
    "neox_attention.softmax_rules:problems",
    "neox_attention.sparse.rules:problems",
)
"""What checks several keys of a variant at once."""


def neox_components() -> Iterable[Component]:
    """The variants."""
    yield Attention(
        name="global",
        summary="full causal attention by torch's scaled_dot_product_attention",
        factory="neox_attention.global_attention:GlobalAttention",
        settings=SOFTMAX_SETTINGS,
        supports=SOFTMAX_FEATURES,
    )
    yield Attention(
        name="flash",
        summary="full causal attention by flash-attn's kernels where they are installed, else by torch's",
        factory="neox_attention.flash:FlashAttention",
        settings=SOFTMAX_SETTINGS,
        supports=SOFTMAX_FEATURES,
        kernels=("flash_attn",),
    )
    yield Attention(
        name="ring",
        summary="full causal attention with the tokens of a sample over several ranks: keys and values travel around them",
        factory="neox_attention.ring:RingAttention",
        settings=SOFTMAX_SETTINGS,
        supports=CONTEXT_FEATURES,
    )
    yield Attention(
        name="ulysses",
        summary="full causal attention with the tokens of a sample over several ranks, each of which computes some heads",
        factory="neox_attention.ulysses:UlyssesAttention",
        settings=SOFTMAX_SETTINGS,
        supports=CONTEXT_FEATURES,
    )
    for name, (summary, factory) in SPARSE.items():
        yield Attention(
            name=name,
            summary=summary,
            factory=f"neox_attention.sparse.{factory}",
            settings=(*SOFTMAX_SETTINGS, "neox_attention.settings.sparse:SparseSettings"),
            supports=SOFTMAX_FEATURES,
        )
    yield Attention(
        name="gmlp",
        summary="MLPs with a gate that mixes along the sequence, in place of attention and MLP",
        factory="neox_attention.gmlp:GMLP",
        replaces="block",
        settings=("neox_attention.settings.gmlp:GMLPSettings",),
        supports=BLOCK_FEATURES,
    )
    yield Attention(
        name="amlp",
        summary="gmlp with a small attention of one head beside it",
        factory="neox_attention.gmlp:AMLP",
        replaces="block",
        settings=("neox_attention.settings.gmlp:GMLPSettings", "neox_attention.settings.softmax:SoftmaxSettings"),
        supports=BLOCK_FEATURES | {Feature.DROPOUT},
    )
    yield Attention(
        name="rwkv",
        summary="RWKV 6: a recurrent state whose decay depends on the data, in place of attention and MLP",
        factory="neox_attention.rwkv:RWKV",
        replaces="block",
        settings=("neox_attention.settings.rwkv:RWKVSettings",),
        supports=BLOCK_FEATURES | {Feature.DROPOUT},
        kernels=("fla",),
    )
    yield Attention(
        name="mamba",
        summary="Mamba: a selective state space, in place of attention and MLP",
        factory="neox_attention.mamba:MambaBlock",
        replaces="block",
        settings=("neox_attention.settings.mamba:MambaSettings",),
        supports=BLOCK_FEATURES,
        kernels=("mamba_ssm", "causal_conv1d"),
    )


def neox_settings() -> Iterable[str]:
    """Keys that no component names yet."""
    return [
        "neox_attention.settings.transformer_engine:TransformerEngineSettings",
    ]


def neox_check(args: NeoXArgs) -> Iterator[Problem]:
    """Rules over several keys of a variant."""
    for rules in RULES:
        yield from resolve(rules)(args)
