"""`LlamaForCausalLM` and `MistralForCausalLM`, which has the same weights, no biases, and a window."""

from __future__ import annotations

from collections.abc import Iterator

from neox_converters.attention_rows import AttentionRows
from neox_converters.gpt_neox_parts import linear_rules
from neox_converters.hugging_face.family import HuggingFaceConverter
from neox_converters.mapping import Rule, renamed
from neox_converters.needs import ATTENTION, Need
from neox_core.config import GATED, ModelSettings, ParallelismSettings, Resolved

_EVERY_NEED = (
    *ATTENTION,
    Need("norm", ("rmsnorm", "te_rmsnorm")),
    Need("activation", sorted(GATED)),
    Need("gpt_j_residual", (False,)),
    Need("rotary_pct", (1,)),
)


class LlamaForCausalLM(HuggingFaceConverter):
    """Root-mean-square norms, a gated MLP, one after the other, whole heads rotated, key/value heads in any number.

    Biases of the attention are `attention_bias`, those of the MLP `mlp_bias`. The rotation pairs halves, as ours does.
    """

    family = "Llama"
    embedding = "model.embed_tokens.weight"

    def needs(self, resolved: Resolved) -> Iterator[Need]:
        """All of the above."""
        yield from _EVERY_NEED
        yield Need("sliding_window_width", (None,))

    def rules(self, resolved: Resolved) -> Iterator[Rule]:
        """Queries, keys and values are three weights in theirs and one in ours."""
        model = resolved[ModelSettings]
        for layer in range(len(resolved.layers)):
            theirs, ours = f"model.layers.{layer}", f"layers.{layer}"
            yield renamed(f"{theirs}.input_layernorm.weight", f"{ours}.attention_norm.weight")
            yield renamed(f"{theirs}.post_attention_layernorm.weight", f"{ours}.mlp_norm.weight")
            yield from _attention_rules(model, f"{theirs}.self_attn", f"{ours}.attention")
            for part in ("gate", "up", "down"):
                yield from linear_rules(f"{theirs}.mlp.{part}_proj", [f"{ours}.mlp.{part}"], model.use_bias_in_mlp)
        yield renamed("model.norm.weight", "norm.weight")

    def unused(self, resolved: Resolved) -> Iterator[str]:
        """Frequencies."""
        return (f"model.layers.{layer}.self_attn.rotary_emb." for layer in range(len(resolved.layers)))


class MistralForCausalLM(LlamaForCausalLM):
    """Llama without biases and with a window: `sliding_window`, which counts the token itself, is sliding_window_width + 1."""

    family = "Mistral"

    def needs(self, resolved: Resolved) -> Iterator[Need]:
        """Those of Llama; any window or none, which `compat: gpt-neox` does not forget on the way."""
        yield from _EVERY_NEED
        windowed = resolved.all_values().get("sliding_window_width") is not None and "global" in resolved.layers
        if windowed and resolved.reproduces("window-lost") and resolved[ParallelismSettings].pipe_parallel_size == 0:
            yield Need("compat", (None,))
        yield Need("use_bias_in_attn_linear", (False,))
        yield Need("use_bias_in_mlp", (False,))


def _attention_rules(model: ModelSettings, theirs: str, ours: str) -> Iterator[Rule]:
    rows, bias = AttentionRows.of(model), model.use_bias_in_attn_linear
    for part in ("weight", "bias") if bias else ("weight",):
        apart = tuple(f"{theirs}.{name}_proj.{part}" for name in "qkv")
        yield Rule(apart, (f"{ours}.query_key_value.{part}",), rows.together, rows.apart)
    yield from linear_rules(f"{theirs}.o_proj", [f"{ours}.output"], bias)
