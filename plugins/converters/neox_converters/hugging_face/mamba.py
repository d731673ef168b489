"""`MambaForCausalLM`."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from neox_converters.gpt_neox_mamba import mixer_rules
from neox_converters.hugging_face.family import HuggingFaceConverter
from neox_converters.mapping import Rule, renamed
from neox_converters.needs import Need
from neox_core.config import ModelSettings, Resolved


class MambaForCausalLM(HuggingFaceConverter):
    """Mamba in all layers, with root-mean-square norms and without positions; biases of the convolution are `use_conv_bias`."""

    family = "Mamba"
    embedding = "backbone.embeddings.weight"
    float32 = (".A_log", ".D")
    older = MappingProxyType({"backbone.embedding.weight": "backbone.embeddings.weight"})

    def needs(self, resolved: Resolved) -> Iterator[Need]:
        """A width that is a whole number (`expand`) of hidden sizes, and no biases: its `use_bias` leaves one projection without."""
        model = resolved[ModelSettings]
        yield Need("attention_config", ("mamba",))
        yield Need("norm", ("rmsnorm", "te_rmsnorm"))
        yield Need("pos_emb", ("none",))
        yield Need("mamba_use_bias_in_linears", (False,))
        if model.intermediate_size is not None:
            yield Need("intermediate_size", _whole(model.intermediate_size, model.hidden_size))
        if model.expansion_factor is not None:
            yield Need("expansion_factor", _whole(model.expansion_factor, 1))

    def rules(self, resolved: Resolved) -> Iterator[Rule]:
        """Names within the mixer are those of GPT-NeoX."""
        for layer in range(len(resolved.layers)):
            theirs, ours = f"backbone.layers.{layer}", f"layers.{layer}.mixer"
            yield renamed(f"{theirs}.norm.weight", f"{ours}.norm.weight")
            yield from mixer_rules(resolved, f"{theirs}.mixer", ours)
        yield renamed("backbone.norm_f.weight", "norm.weight")


def _whole(value: float, unit: int) -> tuple[int, int]:
    """The multiples of `unit` below, or at, and above."""
    below = max(int(value // unit), 1) * unit
    return below, below + unit
