"""config.json of `GPTNeoXForCausalLM`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neox_converters.described import Described
from neox_converters.hugging_face.configuration import (
    Configuration,
    Measured,
    Shapes,
    matrix,
    positions,
    rotation,
    written_rotation,
)
from neox_core.config import ModelSettings, Resolved

ACTIVATIONS: dict[str, dict[str, Any]] = {
    "gelu": {"activation": "gelu"},
    "gelu_new": {"activation": "gelu", "bias_gelu_fusion": True},
    "gelu_fast": {"activation": "gelu", "bias_gelu_fusion": True},
    "gelu_pytorch_tanh": {"activation": "gelu", "bias_gelu_fusion": True},
    "relu": {"activation": "relu"},
    "silu": {"activation": "silu"},
    "swish": {"activation": "silu"},
    "mish": {"activation": "mish"},
}
"""Our keys, by `hidden_act`."""

BEFORE_SHARES = 0.25
"""The share of a head that is rotated where config.json does not say it."""


class GPTNeoXConfiguration(Configuration):
    """GPT-NeoX-20B and Pythia."""

    converter = "hf-gpt-neox"
    model_type = "gpt_neox"
    architecture = "GPTNeoXForCausalLM"
    embedding = "gpt_neox.embed_in.weight"
    head = "embed_out.weight"
    layer = "gpt_neox.layers."

    def model(self, config: Described) -> dict[str, Any]:
        """Layer norms, two a layer, and an MLP with biases."""
        turned = rotation(config, "rotary_emb_base", "rotary_pct", BEFORE_SHARES)
        return {
            "num_attention_heads": config.whole("num_attention_heads"),
            **positions(config.whole("max_position_embeddings", 2048)),
            "intermediate_size": config.whole("intermediate_size"),
            "norm": "layernorm",
            "layernorm_epsilon": config.number("layer_norm_eps", 1e-5),
            "pos_emb": "rotary",
            "rotary_pct": turned.share,
            "rotary_emb_base": turned.base,
            "gpt_j_residual": config.flag("use_parallel_residual", True),
            "use_bias_in_attn_linear": config.flag("attention_bias", True),
            **config.choice("hidden_act", ACTIVATIONS, "gelu"),
        }

    def described(self, resolved: Resolved) -> dict[str, Any]:
        """The same the other way."""
        model = resolved[ModelSettings]
        activation = model.activation.casefold()
        tanh = activation == "gelu" and model.bias_gelu_fusion
        return {
            "num_attention_heads": model.num_attention_heads,
            "max_position_embeddings": model.max_position_embeddings,
            "intermediate_size": resolved.mlp_width,
            "hidden_act": "gelu_new" if tanh else "silu" if activation == "swish" else activation,
            "layer_norm_eps": model.layernorm_epsilon,
            "rotary_emb_base": model.rotary_emb_base,
            "rotary_pct": model.rotary_pct,
            **written_rotation(resolved),
            "use_parallel_residual": model.gpt_j_residual,
            "attention_bias": model.use_bias_in_attn_linear,
            "attention_dropout": model.attention_dropout,
            "hidden_dropout": model.hidden_dropout,
        }

    def measured(self, config: Described, shapes: Shapes) -> Iterator[Measured]:
        """The width inside the MLP."""
        name = f"{self.layer}0.mlp.dense_h_to_4h.weight"
        yield Measured("intermediate_size", matrix(shapes, name, config)[0], name)
