"""GPT-NeoX's names: `sequential.{n}.…`, the embedding being layer 0, blocks from 2, then the final norm and the head.

With as many key/value heads as query heads its query-key-value rows ([query, key, value] of each head) are ours already.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from neox_core.config import ModelSettings, Resolved
from neox_core.errors import UserError

_BLOCK = {
    "input_layernorm": "attention_norm",
    "attention.query_key_value": "attention.query_key_value",
    "attention.dense": "attention.output",
    "post_attention_layernorm": "mlp_norm",
    "mlp.linear1": "mlp.up",
    "mlp.linear2": "mlp.down",
}
_NORM_WEIGHT = {"rmsnorm": "scale"}


class GPTNeoXConverter:
    """Converts weights of the architecture that the settings describe."""

    def __init__(self, resolved: Resolved) -> None:
        model = resolved[ModelSettings]
        if model.num_kv_heads not in (None, model.num_attention_heads):
            raise UserError(
                f"num_kv_heads: {model.num_kv_heads}: the gpt-neox converter maps models with as many key/value heads as query "
                f"heads ({model.num_attention_heads}) only"
            )
        self._model = model

    def read(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """GPT-NeoX's weights under our names.

        Raises:
            UserError: a weight has a name that the architecture does not have.
        """
        names = self._names()
        found = {}
        for name, tensor in foreign.items():
            if name not in names:
                raise UserError(f"'{name}' is not a weight of this architecture in GPT-NeoX's naming")
            found[names[name]] = tensor
        return found

    def write(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our weights under GPT-NeoX's names."""
        theirs = {our: foreign for foreign, our in self._names().items()}
        return {theirs[name]: tensor for name, tensor in ours.items()}

    def _names(self) -> dict[str, str]:
        layers, norm = self._model.num_layers, _NORM_WEIGHT.get(self._model.norm, "weight")
        names = {
            "sequential.0.word_embeddings.weight": "embedding.weight",
            "sequential.0.position_embeddings.weight": "embedding.positions.weight",
            f"sequential.{layers + 3}.norm.{norm}": "norm.weight",
            f"sequential.{layers + 3}.norm.bias": "norm.bias",
            f"sequential.{layers + 4}.final_linear.weight": "head.weight",
        }
        for layer in range(layers):
            for theirs, ours in _BLOCK.items():
                weight = norm if ours.endswith("_norm") else "weight"
                names[f"sequential.{layer + 2}.{theirs}.{weight}"] = f"layers.{layer}.{ours}.weight"
                names[f"sequential.{layer + 2}.{theirs}.bias"] = f"layers.{layer}.{ours}.bias"
        return names
