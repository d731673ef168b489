"""GPT-NeoX's names: `sequential.{n}.…`, the embedding being layer 0, blocks from 2, then the final norm and the head.

With as many key/value heads as query heads its query-key-value rows ([query, key, value] of each head) are ours already, with fewer
they are [all queries | all keys | all values]. In a gated MLP `linear1` has the rows of `up`, then those of `gate`. Relative
positions are one module that every layer of GPT-NeoX names and only the first one has in its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from neox_converters.attention_rows import AttentionRows
from neox_converters.mapping import MappedConverter, Rule, renamed, stacked
from neox_core.config import GATED, ModelSettings, Resolved

_NORM_PARTS = {"rmsnorm": {"scale": "weight"}, "scalenorm": {"g": "weight"}, "non_parametric_layernorm": {}}
"""Parameters of a norm, theirs -> ours, where they are not weight and bias."""


BlockRules = Callable[[Resolved, str, str], Iterable[Rule]]
"""(settings, name of the layer in theirs, in ours) -> a rule for each weight of it."""

BLOCKS: dict[str, BlockRules] = {}
"""Of mixers that replace a whole block."""


class GPTNeoXConverter(MappedConverter):
    """Converts weights of the architecture that the settings describe."""

    def __init__(self, resolved: Resolved) -> None:
        model = resolved[ModelSettings]
        super().__init__("GPT-NeoX", _rules(resolved), _unused(model))


def _rules(resolved: Resolved) -> Iterator[Rule]:
    """Every weight of an architecture."""
    model = resolved[ModelSettings]
    layers = model.num_layers
    yield renamed("sequential.0.word_embeddings.weight", "embedding.weight")
    if model.pos_emb.casefold() == "learned":
        yield renamed("sequential.0.position_embeddings.weight", "embedding.positions.weight")
    if model.pos_emb.casefold() == "rpe":
        yield renamed("sequential.2.attention.rpe.weight", "embedding.positions.weight")
    for layer, mixer in enumerate(resolved.layers):
        yield from BLOCKS.get(mixer, _transformer_block)(resolved, f"sequential.{layer + 2}", f"layers.{layer}")
    yield from _norm(model, f"sequential.{layers + 3}.norm", "norm")
    if model.no_weight_tying:
        yield renamed(f"sequential.{layers + 4}.final_linear.weight", "head.weight")


def _transformer_block(resolved: Resolved, theirs: str, ours: str) -> Iterator[Rule]:
    model = resolved[ModelSettings]
    yield from _norm(model, f"{theirs}.input_layernorm", f"{ours}.attention_norm")
    if not _is_tied(model):
        yield from _norm(model, f"{theirs}.post_attention_layernorm", f"{ours}.mlp_norm")
    bias, rows = model.use_bias_in_attn_linear, AttentionRows.of(model)
    for rule in _linear(f"{theirs}.attention.query_key_value", [f"{ours}.attention.query_key_value"], bias):
        grouped = rows.kv_heads != rows.heads
        yield Rule(rule.theirs, rule.ours, rows.split, rows.stack) if grouped else rule
    if model.use_qk_layernorm:
        yield from _norm(model, f"{theirs}.attention.qk_layernorm", f"{ours}.attention.norm")
    yield from _linear(f"{theirs}.attention.dense", [f"{ours}.attention.output"], bias)
    into = ["up", "gate"] if model.activation.casefold() in GATED else ["up"]
    yield from _linear(f"{theirs}.mlp.linear1", [f"{ours}.mlp.{name}" for name in into], model.use_bias_in_mlp)
    yield from _linear(f"{theirs}.mlp.linear2", [f"{ours}.mlp.down"], model.use_bias_in_mlp)


def _norm(model: ModelSettings, theirs: str, ours: str) -> Iterator[Rule]:
    parts = _NORM_PARTS.get(model.norm.casefold(), {"weight": "weight", "bias": "bias"})
    return (renamed(f"{theirs}.{their_part}", f"{ours}.{our_part}") for their_part, our_part in parts.items())


def _linear(theirs: str, ours: Sequence[str], bias: bool) -> Iterator[Rule]:
    parts = ("weight", "bias") if bias else ("weight",)
    return (stacked(f"{theirs}.{part}", [f"{name}.{part}" for name in ours]) for part in parts)


def _is_tied(model: ModelSettings) -> bool:
    return model.gpt_j_residual and model.gpt_j_tied


def _unused(model: ModelSettings) -> Iterator[str]:
    """Prefixes of what GPT-NeoX stores and does not use, or computes again."""
    for layer in range(model.num_layers):
        theirs = f"sequential.{layer + 2}"
        if _is_tied(model):  # the second norm of blocks that have one for both sides
            yield f"{theirs}.post_attention_layernorm."
        if model.pos_emb.casefold() == "rotary":
            yield f"{theirs}.attention.rotary_emb."
        if model.pos_emb.casefold() == "alibi":
            yield f"{theirs}.attention.alibi_embed."
        if model.pos_emb.casefold() == "rpe" and layer > 0:
            yield f"{theirs}.attention.rpe."
