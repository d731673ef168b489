"""GPT-NeoX's names: `sequential.{n}.…`, the embedding being layer 0, blocks from 2, then the final norm and the head.

With as many key/value heads as query heads its query-key-value rows ([query, key, value] of each head) are ours already. In a
gated MLP `linear1` has the rows of `up`, then those of `gate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from neox_core.config import GATED, ModelSettings, Resolved
from neox_core.errors import UserError

_NORM_PARTS = {"rmsnorm": {"scale": "weight"}}
"""Parameters of a norm, theirs -> ours, where they are not weight and bias."""


class GPTNeoXConverter:
    """Converts weights of the architecture that the settings describe."""

    def __init__(self, resolved: Resolved) -> None:
        model = resolved[ModelSettings]
        if model.num_kv_heads not in (None, model.num_attention_heads):
            raise UserError(
                f"num_kv_heads: {model.num_kv_heads}: the gpt-neox converter maps models with as many key/value heads as query "
                f"heads ({model.num_attention_heads}) only"
            )
        self._names = dict(_names(model))
        self._unused = tuple(_unused(model))

    def read(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """GPT-NeoX's weights under our names.

        Raises:
            UserError: a weight of the architecture is missing, or one is there that it does not have.
        """
        found = {name: tensor for name, tensor in foreign.items() if not name.startswith(self._unused)}
        unknown, missing = sorted(found.keys() - self._names.keys()), sorted(self._names.keys() - found.keys())
        if unknown:
            raise UserError(f"'{unknown[0]}' is not a weight of this architecture in GPT-NeoX's naming")
        if missing:
            raise UserError(f"'{missing[0]}' is a weight of this architecture in GPT-NeoX's naming, and is not there")
        pieces = ((self._names[name], tensor) for name, tensor in found.items())
        return {
            name: part for names, tensor in pieces for name, part in zip(names, tensor.chunk(len(names)), strict=True)
        }

    def write(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our weights under GPT-NeoX's names."""
        return {theirs: torch.cat([ours[name] for name in names]) for theirs, names in self._names.items()}


def _names(model: ModelSettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every weight of an architecture: their name, and ours, of which theirs has the rows one below the other."""
    layers = model.num_layers
    yield "sequential.0.word_embeddings.weight", ("embedding.weight",)
    if model.pos_emb.casefold() == "learned":
        yield "sequential.0.position_embeddings.weight", ("embedding.positions.weight",)
    for layer in range(layers):
        theirs, ours = f"sequential.{layer + 2}", f"layers.{layer}"
        yield from _norm(model, f"{theirs}.input_layernorm", f"{ours}.attention_norm")
        if not _is_tied(model):
            yield from _norm(model, f"{theirs}.post_attention_layernorm", f"{ours}.mlp_norm")
        bias = model.use_bias_in_attn_linear
        yield from _linear(f"{theirs}.attention.query_key_value", [f"{ours}.attention.query_key_value"], bias)
        yield from _linear(f"{theirs}.attention.dense", [f"{ours}.attention.output"], bias)
        into = ["up", "gate"] if model.activation.casefold() in GATED else ["up"]
        yield from _linear(f"{theirs}.mlp.linear1", [f"{ours}.mlp.{name}" for name in into], model.use_bias_in_mlp)
        yield from _linear(f"{theirs}.mlp.linear2", [f"{ours}.mlp.down"], model.use_bias_in_mlp)
    yield from _norm(model, f"sequential.{layers + 3}.norm", "norm")
    if model.no_weight_tying:
        yield f"sequential.{layers + 4}.final_linear.weight", ("head.weight",)


def _norm(model: ModelSettings, theirs: str, ours: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    parts = _NORM_PARTS.get(model.norm.casefold(), {"weight": "weight", "bias": "bias"})
    return ((f"{theirs}.{their_part}", (f"{ours}.{our_part}",)) for their_part, our_part in parts.items())


def _linear(theirs: str, ours: Sequence[str], bias: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    return (
        (f"{theirs}.{part}", tuple(f"{name}.{part}" for name in ours))
        for part in (("weight", "bias") if bias else ("weight",))
    )


def _is_tied(model: ModelSettings) -> bool:
    return model.gpt_j_residual and model.gpt_j_tied


def _unused(model: ModelSettings) -> Iterator[str]:
    """Prefixes of what GPT-NeoX makes and never uses: the second norm of blocks that have one for both sides."""
    layers = range(model.num_layers) if _is_tied(model) else ()
    return (f"sequential.{layer + 2}.post_attention_layernorm." for layer in layers)
