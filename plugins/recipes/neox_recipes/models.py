"""Models in NeMo's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from neox_core.errors import UserError
from neox_recipes.part import Meaning, Part, same

GATED_FORMS = {"gelu": "geglu", "relu": "reglu", "sigmoid": "glu", "silu": "swiglu"}
"""Activations, and the name of what they are in a gated MLP."""

NORMS = {"LayerNorm": "layernorm", "RMSNorm": "rmsnorm"}
POSITIONS = {"learned_absolute": "learned", "none": "none", "rope": "rotary"}


@dataclass(frozen=True, kw_only=True)
class GPTConfig(Part):
    """The architecture of a decoder.

    Args:
        num_layers: blocks.
        hidden_size: width of the residual stream.
        ffn_hidden_size: width inside each MLP, behind the gate where there is one; None: four times hidden_size.
        num_attention_heads: query heads.
        num_query_groups: key/value heads; None: as many as query heads.
        seq_length: the largest number of positions; that of the samples is the data's.
        vocab_size: number of token ids; None: as many as the tokenizer has.
        make_vocab_size_divisible_by: the vocabulary is padded to a multiple of this.
        normalization: the norm.
        layernorm_epsilon: what is added to the variance, or to the mean square.
        activation_func: the activation, by our name.
        gated_linear_unit: whether the MLP is gated.
        position_embedding_type: the positions.
        rotary_base: base of rotary frequencies.
        rotary_percent: share of each head that is rotated.
        add_bias_linear: whether linear layers have biases.
        share_embeddings_and_output_weights: whether the head has the embedding's weights.
        init_method_std: standard deviation of initial weights.
        attention_dropout: dropout of attention weights.
        hidden_dropout: dropout on the residual branches.
    """

    num_layers: int = 12
    hidden_size: int = 768
    ffn_hidden_size: int | None = None
    num_attention_heads: int = 12
    num_query_groups: int | None = None
    seq_length: int = 2048
    vocab_size: int | None = None
    make_vocab_size_divisible_by: int = 128
    normalization: Literal["LayerNorm", "RMSNorm"] = "LayerNorm"
    layernorm_epsilon: float = 1e-5
    activation_func: str = "gelu"
    gated_linear_unit: bool = False
    position_embedding_type: Literal["learned_absolute", "none", "rope"] = "learned_absolute"
    rotary_base: int = 10_000
    rotary_percent: float = 1.0
    add_bias_linear: bool = True
    share_embeddings_and_output_weights: bool = True
    init_method_std: float = 0.02
    attention_dropout: float = 0.0
    hidden_dropout: float = 0.0

    meanings: ClassVar[Mapping[str, Meaning]] = {
        **same("num_layers", "hidden_size", "num_attention_heads", "vocab_size", "make_vocab_size_divisible_by"),
        **same("init_method_std", "attention_dropout", "hidden_dropout"),
        "ffn_hidden_size": Meaning(
            ("intermediate_size",),
            lambda config: config.inner_width,
            "three times the value where the MLP is gated, four times hidden_size where it is None",
        ),
        "num_query_groups": Meaning(("num_kv_heads",)),
        "seq_length": Meaning(("max_position_embeddings",)),
        "normalization": Meaning(("norm",), lambda config: NORMS[config.normalization], "`layernorm` or `rmsnorm`"),
        "layernorm_epsilon": Meaning(("layernorm_epsilon", "rms_norm_epsilon"), words="the norm reads its own"),
        "activation_func": Meaning(("activation",), lambda config: config.activation, "its gated form in a gated MLP"),
        "gated_linear_unit": Meaning(words="see activation_func and ffn_hidden_size"),
        "position_embedding_type": Meaning(
            ("pos_emb",), lambda config: POSITIONS[config.position_embedding_type], "`rotary`, `learned` or `none`"
        ),
        "rotary_base": Meaning(("rotary_emb_base",)),
        "rotary_percent": Meaning(("rotary_pct",)),
        "add_bias_linear": Meaning(("use_bias_in_attn_linear", "use_bias_in_mlp")),
        "share_embeddings_and_output_weights": Meaning(
            ("no_weight_tying",), lambda config: not config.share_embeddings_and_output_weights, "the opposite"
        ),
    }

    @property
    def activation(self) -> str:
        """The activation, by our name.

        Raises:
            UserError: it has no gated form.
        """
        if not self.gated_linear_unit:
            return self.activation_func
        if self.activation_func not in GATED_FORMS:
            raise UserError(
                f"activation_func: {self.activation_func!r} has no gated form, those of {', '.join(GATED_FORMS)} have; "
                "use one of them, or set gated_linear_unit to false"
            )
        return GATED_FORMS[self.activation_func]

    @property
    def inner_width(self) -> int:
        """`intermediate_size`, of which a gated MLP has a third."""
        return (self.ffn_hidden_size or 4 * self.hidden_size) * (3 if self.gated_linear_unit else 1)


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(GPTConfig):
    """What the Llama models have in common."""

    normalization: Literal["LayerNorm", "RMSNorm"] = "RMSNorm"
    activation_func: str = "silu"
    gated_linear_unit: bool = True
    position_embedding_type: Literal["learned_absolute", "none", "rope"] = "rope"
    add_bias_linear: bool = False
    share_embeddings_and_output_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class Llama3Config8B(LlamaConfig):
    """Llama 3 with 8 billion parameters."""

    num_layers: int = 32
    hidden_size: int = 4096
    ffn_hidden_size: int | None = 14_336
    num_attention_heads: int = 32
    num_query_groups: int | None = 8
    seq_length: int = 8192
    vocab_size: int | None = 128_256
    rotary_base: int = 500_000
    init_method_std: float = 0.01


@dataclass(frozen=True, kw_only=True)
class GPTModel(Part):
    """A decoder."""

    config: GPTConfig = field(default_factory=GPTConfig)


@dataclass(frozen=True, kw_only=True)
class LlamaModel(GPTModel):
    """A Llama."""

    config: LlamaConfig = field(default_factory=LlamaConfig)
