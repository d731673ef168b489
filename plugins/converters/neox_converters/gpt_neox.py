"""GPT-NeoX's names: `sequential.{n}.…`, the embedding being layer 0, blocks from 2, then the final norm and the head.

With as many key/value heads as query heads its query-key-value rows ([query, key, value] of each head) are ours already, with fewer
they are [all queries | all keys | all values]. In a gated MLP `linear1` has the rows of `up`, then those of `gate`. Relative
positions are one module of GPT-NeoX that each of its layers stores. Blocks with one norm for both sides store a second one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from neox_converters.attention_rows import AttentionRows
from neox_converters.gpt_neox_buffers import buffer_rules
from neox_converters.gpt_neox_gmlp import amlp_block, gmlp_block
from neox_converters.gpt_neox_mamba import mamba_block
from neox_converters.gpt_neox_parts import linear_rules, norm_rules
from neox_converters.gpt_neox_rwkv import rwkv_block
from neox_converters.mapping import MappedConverter, Rule, renamed
from neox_converters.mup_factors import require_plain
from neox_core.config import GATED, ModelSettings, Resolved

BlockRules = Callable[[Resolved, str, str], Iterable[Rule]]
"""(settings, name of the layer in theirs, in ours) -> a rule for each weight of it."""

BLOCKS: dict[str, BlockRules] = {"mamba": mamba_block, "gmlp": gmlp_block, "amlp": amlp_block, "rwkv": rwkv_block}
"""Of mixers that replace a whole block."""


class GPTNeoXConverter(MappedConverter):
    """Converts weights of the architecture that the settings describe.

    Raises:
        SettingsError: muP multiplies by factors beside the weights, which GPT-NeoX does not heed.
    """

    def __init__(self, resolved: Resolved) -> None:
        model = resolved[ModelSettings]
        require_plain("GPT-NeoX", resolved)
        super().__init__("GPT-NeoX", _rules(resolved), _unused(model), _copies(resolved))


def _rules(resolved: Resolved) -> Iterator[Rule]:
    """Every weight of an architecture."""
    model = resolved[ModelSettings]
    layers = model.num_layers
    yield renamed("sequential.0.word_embeddings.weight", "embedding.weight")
    if model.pos_emb.casefold() == "learned":
        yield renamed("sequential.0.position_embeddings.weight", "embedding.positions.weight")
    if model.pos_emb.casefold() == "rpe":
        yield renamed(
            f"sequential.{_with_attention(resolved)[0] + 2}.attention.rpe.weight", "embedding.positions.weight"
        )
    for layer, mixer in enumerate(resolved.layers):
        yield from BLOCKS.get(mixer, _transformer_block)(resolved, f"sequential.{layer + 2}", f"layers.{layer}")
    yield from norm_rules(model, f"sequential.{layers + 3}.norm", "norm")
    if resolved.head == "reward":
        yield renamed(f"sequential.{layers + 4}.rm_linear.weight", "head.weight")
    elif model.no_weight_tying:
        yield renamed(f"sequential.{layers + 4}.final_linear.weight", "head.weight")


def _transformer_block(resolved: Resolved, theirs: str, ours: str) -> Iterator[Rule]:
    model = resolved[ModelSettings]
    yield from norm_rules(model, f"{theirs}.input_layernorm", f"{ours}.attention_norm")
    if not _is_tied(model):
        yield from norm_rules(model, f"{theirs}.post_attention_layernorm", f"{ours}.mlp_norm")
    bias, rows = model.use_bias_in_attn_linear, AttentionRows.of(model)
    for rule in linear_rules(f"{theirs}.attention.query_key_value", [f"{ours}.attention.query_key_value"], bias):
        grouped = rows.kv_heads != rows.heads
        yield Rule(rule.theirs, rule.ours, rows.split, rows.stack) if grouped else rule
    if model.use_qk_layernorm:
        yield from norm_rules(model, f"{theirs}.attention.qk_layernorm", f"{ours}.attention.norm")
    yield from linear_rules(f"{theirs}.attention.dense", [f"{ours}.attention.output"], bias)
    into = ["up", "gate"] if model.activation.casefold() in GATED else ["up"]
    yield from linear_rules(f"{theirs}.mlp.linear1", [f"{ours}.mlp.{name}" for name in into], model.use_bias_in_mlp)
    yield from linear_rules(f"{theirs}.mlp.linear2", [f"{ours}.mlp.down"], model.use_bias_in_mlp)


def _is_tied(model: ModelSettings) -> bool:
    return model.gpt_j_residual and model.gpt_j_tied


def _with_attention(resolved: Resolved) -> list[int]:
    """Indices of the layers that are transformer blocks."""
    return [layer for layer, mixer in enumerate(resolved.layers) if mixer not in BLOCKS]


def _copies(resolved: Resolved) -> Iterator[Rule]:
    model, layers = resolved[ModelSettings], _with_attention(resolved)
    if model.pos_emb.casefold() == "rpe":
        for layer in layers[1:]:
            yield renamed(f"sequential.{layer + 2}.attention.rpe.weight", "embedding.positions.weight")
    if _is_tied(model):
        for layer in layers:
            theirs = f"sequential.{layer + 2}.post_attention_layernorm"
            yield from norm_rules(model, theirs, f"layers.{layer}.attention_norm")
    yield from buffer_rules(model, layers)


def _unused(model: ModelSettings) -> Iterator[str]:
    """Prefixes of the frequencies, which GPT-NeoX stores or not as `rotary_save_freqs_buffer` says."""
    if model.pos_emb.casefold() == "rotary":
        for layer in range(model.num_layers):
            yield f"sequential.{layer + 2}.attention.rotary_emb."
