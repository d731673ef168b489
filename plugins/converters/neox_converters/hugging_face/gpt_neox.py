"""`GPTNeoXForCausalLM`: GPT-NeoX-20B and Pythia."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from neox_converters.gpt_neox_parts import linear_rules
from neox_converters.hugging_face.family import HuggingFaceConverter
from neox_converters.mapping import Rule, renamed
from neox_converters.needs import ATTENTION, Need
from neox_core.config import ModelSettings, Resolved


class GPTNeoXForCausalLM(HuggingFaceConverter):
    """Layer norms and MLPs with biases, `use_parallel_residual` or not, any share of each head rotated.

    Their rows of queries, keys and values are ours: [query, key, value] of each head.
    """

    family = "GPTNeoX"
    embedding = "gpt_neox.embed_in.weight"
    in_files = MappingProxyType({"lm_head.weight": "embed_out.weight"})
    older = MappingProxyType({"embed_out.weight": "lm_head.weight"})

    def needs(self, resolved: Resolved) -> Iterator[Need]:
        """As many key/value heads as query heads, two norms, and biases in the MLP."""
        yield from ATTENTION
        yield Need("sliding_window_width", (None,))
        yield Need("norm", ("layernorm", "te_layernorm"))
        yield Need("activation", ("gelu", "relu", "silu", "swish", "mish"))
        yield Need("num_kv_heads", (resolved[ModelSettings].num_attention_heads,))
        yield Need("gpt_j_tied", (False,))
        yield Need("use_bias_in_mlp", (True,))

    def rules(self, resolved: Resolved) -> Iterator[Rule]:
        """Biases of the attention are `attention_bias`."""
        model = resolved[ModelSettings]
        bias = model.use_bias_in_attn_linear
        for layer in range(len(resolved.layers)):
            theirs, ours = f"gpt_neox.layers.{layer}", f"layers.{layer}"
            yield from _layer_norm(f"{theirs}.input_layernorm", f"{ours}.attention_norm")
            yield from _layer_norm(f"{theirs}.post_attention_layernorm", f"{ours}.mlp_norm")
            yield from linear_rules(f"{theirs}.attention.query_key_value", [f"{ours}.attention.query_key_value"], bias)
            yield from linear_rules(f"{theirs}.attention.dense", [f"{ours}.attention.output"], bias)
            yield from linear_rules(f"{theirs}.mlp.dense_h_to_4h", [f"{ours}.mlp.up"], True)
            yield from linear_rules(f"{theirs}.mlp.dense_4h_to_h", [f"{ours}.mlp.down"], True)
        yield from _layer_norm("gpt_neox.final_layer_norm", "norm")

    def unused(self, resolved: Resolved) -> Iterator[str]:
        """Masks and frequencies."""
        for layer in range(len(resolved.layers)):
            for name in ("bias", "masked_bias", "rotary_emb."):
                yield f"gpt_neox.layers.{layer}.attention.{name}"


def _layer_norm(theirs: str, ours: str) -> Iterator[Rule]:
    return (renamed(f"{theirs}.{part}", f"{ours}.{part}") for part in ("weight", "bias"))
