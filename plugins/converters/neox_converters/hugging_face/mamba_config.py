"""config.json of `MambaForCausalLM`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from neox_converters.described import Described
from neox_converters.hugging_face.configuration import Configuration, Measured, Shapes, matrix, positions
from neox_core.config import ModelSettings, Resolved

STATES, TAPS = 16, 4
"""Sizes that every Mamba of ours has."""

TRAINED_LENGTH = 2048
"""Of the texts that the published models learned from; config.json says nothing of lengths, and nothing in the model depends on it."""


class MambaConfiguration(Configuration):
    """Mamba in all layers."""

    converter = "hf-mamba"
    model_type = "mamba"
    architecture = "MambaForCausalLM"
    embedding = "backbone.embeddings.weight"
    layer = "backbone.layers."
    ties = True

    def model(self, config: Described) -> dict[str, Any]:
        """Root-mean-square norms, no positions, and a width that is a multiple of the hidden size."""
        hidden = config.whole("hidden_size")
        config.require("state_size", (STATES,), STATES, "another number of states")
        config.require("conv_kernel", (TAPS,), TAPS, "another number of tokens in the convolution")
        config.require("time_step_rank", (math.ceil(hidden / 16), "auto"), "auto", "another rank of the time steps")
        config.require("hidden_act", ("silu", "swish"), "silu", "another activation")
        config.require("use_bias", (False,), False, "biases of two of the four projections")
        return {
            "num_attention_heads": 1,
            **positions(config.whole("max_position_embeddings", TRAINED_LENGTH)),
            "attention_config": [[["mamba"], "all"]],
            "expansion_factor": config.whole("expand", 2),
            "norm": "rmsnorm",
            "rms_norm_epsilon": config.number("layer_norm_epsilon", 1e-5),
            "pos_emb": "none",
            "mamba_use_bias_in_conv": config.flag("use_conv_bias", True),
            "mamba_use_bias_in_linears": False,
        }

    def described(self, resolved: Resolved) -> dict[str, Any]:
        """The same the other way; the number of positions, which transformers does not look at, is for the way back."""
        model = resolved[ModelSettings]
        width = model.intermediate_size or int((model.expansion_factor or 2) * model.hidden_size)
        return {
            "expand": width // model.hidden_size,
            "intermediate_size": width,
            "state_size": STATES,
            "conv_kernel": TAPS,
            "time_step_rank": math.ceil(model.hidden_size / 16),
            "hidden_act": "silu",
            "layer_norm_epsilon": model.rms_norm_epsilon,
            "use_bias": False,
            "use_conv_bias": resolved.all_values()["mamba_use_bias_in_conv"],
            "max_position_embeddings": model.max_position_embeddings,
        }

    def measured(self, config: Described, shapes: Shapes) -> Iterator[Measured]:
        """How many times as wide as the residual stream the mixers are."""
        name = f"{self.layer}0.mixer.out_proj.weight"
        hidden, width = matrix(shapes, name, config)
        yield Measured("expand", width // hidden if hidden else 0, name)
