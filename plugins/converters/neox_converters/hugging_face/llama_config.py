"""config.json of `LlamaForCausalLM` and `MistralForCausalLM`."""

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
from neox_core.errors import UserError

GATES = {
    "silu": "swiglu",
    "swish": "swiglu",
    "gelu": "geglu",
    "relu": "reglu",
    "sigmoid": "glu",
    "linear": "bilinear",
}
"""Our activations, by `hidden_act`, the function of the gate."""

HIDDEN_ACT = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu", "glu": "sigmoid", "bilinear": "linear"}
"""The other way."""


class LlamaConfiguration(Configuration):
    """LLaMA to LLaMA 3."""

    converter = "hf-llama"
    model_type = "llama"
    architecture = "LlamaForCausalLM"
    embedding = "model.embed_tokens.weight"
    layer = "model.layers."
    longest = 2048
    """Positions where config.json does not say it."""

    def model(self, config: Described) -> dict[str, Any]:
        """Root-mean-square norms, and a gated MLP; a third of our `intermediate_size` is the width of a part of it."""
        turned = rotation(config, "rope_theta", "partial_rotary_factor", 1.0)
        said = config.with_values({"partial_rotary_factor": turned.share})
        said.require("partial_rotary_factor", (1.0,), 1.0, "a part of each head that is rotated")
        heads = config.whole("num_attention_heads")
        kv_heads = heads if config.is_null("num_key_value_heads") else self.kv_heads(heads)
        return {
            "num_attention_heads": heads,
            "num_kv_heads": config.whole("num_key_value_heads", kv_heads),
            **positions(config.whole("max_position_embeddings", self.longest)),
            "intermediate_size": 3 * config.whole("intermediate_size"),
            "norm": "rmsnorm",
            "rms_norm_epsilon": config.number("rms_norm_eps", 1e-6),
            "pos_emb": "rotary",
            "rotary_emb_base": turned.base,
            "activation": config.choice("hidden_act", GATES, "silu"),
            **self.further(config),
        }

    def kv_heads(self, heads: int) -> int:
        """Key/value heads where config.json says nothing of them; null says as many as heads."""
        return heads

    def further(self, config: Described) -> dict[str, Any]:
        """What the two families do not share."""
        self._require_all_see_all(config)
        return {
            "use_bias_in_attn_linear": config.flag("attention_bias", False),
            "use_bias_in_mlp": config.flag("mlp_bias", False),
        }

    def _require_all_see_all(self, config: Described) -> None:
        for kind in config.get("layer_types", ()):
            if kind != "full_attention":
                raise UserError(
                    f"{config.path}: layer_types: {kind!r} is not full_attention, which alone {self.architecture} has"
                )

    def described(self, resolved: Resolved) -> dict[str, Any]:
        """The same the other way."""
        model = resolved[ModelSettings]
        heads = model.num_attention_heads
        return {
            "num_attention_heads": heads,
            "num_key_value_heads": model.num_kv_heads or heads,
            "head_dim": model.hidden_size // heads,
            "max_position_embeddings": model.max_position_embeddings,
            "intermediate_size": resolved.mlp_width,
            "hidden_act": HIDDEN_ACT[model.activation.casefold()],
            "rms_norm_eps": model.rms_norm_epsilon,
            "rope_theta": float(model.rotary_emb_base),
            **written_rotation(resolved),
            "attention_dropout": model.attention_dropout,
            **self.written(resolved),
        }

    def written(self, resolved: Resolved) -> dict[str, Any]:
        """What the two families do not share."""
        model = resolved[ModelSettings]
        return {"attention_bias": model.use_bias_in_attn_linear, "mlp_bias": model.use_bias_in_mlp}

    def measured(self, config: Described, shapes: Shapes) -> Iterator[Measured]:
        """The width inside the MLP, and the number of key/value heads.

        Raises:
            UserError: heads are of another width than hidden_size / num_attention_heads.
        """
        gate = f"{self.layer}0.mlp.gate_proj.weight"
        yield Measured("intermediate_size", matrix(shapes, gate, config)[0], gate)
        hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
        query, key = (f"{self.layer}0.self_attn.{name}_proj.weight" for name in "qk")
        rows, kv_rows = matrix(shapes, query, config)[0], matrix(shapes, key, config)[0]
        if hidden % heads or rows != hidden or config.get("head_dim", hidden // heads) != hidden // heads:
            raise UserError(
                f"{config.path}: head_dim: heads are {config.get('head_dim', rows / heads):g} wide ('{query}' {list(shapes[query])}), "
                f"and in neox hidden_size / num_attention_heads, {hidden / heads:g}; choose a model of which that holds"
            )
        if kv_rows % (hidden // heads):
            raise UserError(
                f"{config.path.parent}: '{key}' has {kv_rows} rows, which are no heads of {hidden // heads} each"
            )
        yield Measured("num_key_value_heads", kv_rows // (hidden // heads), key)


class MistralConfiguration(LlamaConfiguration):
    """Mistral 7B and what has its form: no biases, and a window, which counts a token itself here and not in our settings."""

    converter = "hf-mistral"
    model_type = "mistral"
    architecture = "MistralForCausalLM"
    longest = 131072

    def kv_heads(self, heads: int) -> int:
        """As many as Mistral 7B has."""
        return 8

    def further(self, config: Described) -> dict[str, Any]:
        """The window; one of a token alone cannot be expressed."""
        bare = {"use_bias_in_attn_linear": False, "use_bias_in_mlp": False}
        # Where nothing is written it is Mistral 7B's; null says that there is none.
        window = config.values.get("sliding_window", None if config.is_null("sliding_window") else 4096)
        if window is None:
            return bare
        if isinstance(window, bool) or not isinstance(window, int) or window < 2:
            raise config.wrong("sliding_window", window, "a whole number > 1, or null")
        return {**bare, "sliding_window_width": window - 1}

    def written(self, resolved: Resolved) -> dict[str, Any]:
        """The window."""
        width = resolved.all_values().get("sliding_window_width")
        return {"sliding_window": None if width is None else width + 1}
