"""The architecture of a model."""

from typing import Any, Literal

from neox_core.config.settings import Settings, setting

InitMethod = Literal[
    "normal",
    "orthogonal",
    "scaled_normal",
    "scaled_orthogonal",
    "single_residual_scaled_normal",
    "small_init",
    "wang_init",
    "xavier_normal",
    "xavier_uniform",
]

NOT_SHARED = "each layer has its own weights"


class ModelSettings(Settings, group="model"):
    """The architecture."""

    num_layers: int = setting(..., "Transformer blocks", from_checkpoint="match", origin="megatron", gt=0)
    hidden_size: int = setting(..., "Width of the residual stream", from_checkpoint="match", origin="megatron", gt=0)
    num_attention_heads: int = setting(..., "Query heads", from_checkpoint="match", origin="megatron", gt=0)
    num_kv_heads: int | None = setting(
        None, "Key/value heads; none: as many as query heads", from_checkpoint="match", origin="gpt-neox", gt=0
    )
    seq_length: int = setting(..., "Tokens in one training sample", origin="megatron", gt=0)
    max_position_embeddings: int = setting(
        ..., "Largest number of positions; at least seq_length", from_checkpoint="match", origin="megatron", gt=0
    )
    intermediate_size: int | None = setting(
        None,
        "Width inside the MLP, of which a gated one has a third; none: four times hidden_size",
        from_checkpoint="match",
        origin="gpt-neox",
        gt=0,
    )
    expansion_factor: float | None = setting(
        None,
        "Width of the MLP as a multiple of hidden_size, in place of intermediate_size",
        from_checkpoint="match",
        origin="gpt-neox",
        gt=0,
    )
    mlp_multiple_of: int = setting(
        1,
        "The width of the MLP is rounded up to a multiple of this",
        from_checkpoint="match",
        origin="gpt-neox",
        gt=0,
    )

    # Norms

    norm: str = setting("layernorm", "Normalisation, by name", from_checkpoint="match", origin="gpt-neox")
    layernorm_epsilon: float = setting(
        1e-5, "Added to the variance in layernorm", from_checkpoint="take", origin="megatron", gt=0
    )
    rms_norm_epsilon: float = setting(
        1e-8, "Added to the mean square in rmsnorm", from_checkpoint="take", origin="gpt-neox", gt=0
    )
    scalenorm_epsilon: float = setting(1e-8, "Least norm in scalenorm", from_checkpoint="take", origin="gpt-neox", gt=0)
    use_qk_layernorm: bool = setting(False, "Normalise queries and keys", from_checkpoint="match", origin="gpt-neox")
    use_bias_in_norms: bool = setting(
        True,
        "Biases in norms",
        origin="gpt-neox",
        changes="nothing",
        unused="layernorm has one, rmsnorm has none",
    )

    # Positions

    pos_emb: str = setting("learned", "Positions, by name", from_checkpoint="match", origin="gpt-neox")
    rotary_pct: float = setting(
        1.0, "Share of each head that rotary positions rotate", from_checkpoint="match", origin="gpt-neox", gt=0, le=1
    )
    rotary_emb_base: int = setting(
        10000, "Base of rotary frequencies", from_checkpoint="match", origin="gpt-neox", gt=0
    )
    rotary_save_freqs_buffer: bool = setting(
        False,
        "Whether weights in GPT-NeoX's layout have the rotary frequencies too; they are computed from rotary_pct and rotary_emb_base",
        origin="gpt-neox",
        changes="nothing",
    )
    rpe_num_buckets: int = setting(
        32,
        "Classes of distances of relative positions",
        from_checkpoint="match",
        origin="gpt-neox",
        gt=1,
    )
    rpe_max_distance: int = setting(
        128,
        "Distance, in tokens, from which on all are of one class",
        from_checkpoint="take",
        origin="gpt-neox",
        gt=0,
    )
    opt_pos_emb_offset: int = setting(
        0,
        "Number of the first learned position; 2 in OPT",
        from_checkpoint="match",
        origin="gpt-neox",
        ge=0,
    )

    # Blocks

    no_weight_tying: bool = setting(
        False, "Whether the head has its own weights, not the embedding's", from_checkpoint="match", origin="gpt-neox"
    )
    attention_config: list[Any] | None = setting(
        None,
        "Sequence mixer of each layer: a list of names, or of [[names], repeats]; none: global everywhere",
        from_checkpoint="match",
        origin="gpt-neox",
    )
    activation: str = setting("gelu", "Activation of the MLP, by name", from_checkpoint="match", origin="gpt-neox")
    bias_gelu_fusion: bool = setting(
        False,
        "Compute gelu by its tanh approximation, as GPT-NeoX's fused kernel does",
        from_checkpoint="take",
        origin="megatron",
    )
    gpt_j_residual: bool = setting(
        False, "Attention and MLP side by side in each block", from_checkpoint="match", origin="gpt-neox"
    )
    gpt_j_tied: bool = setting(
        False, "One norm for both sides of a parallel block", from_checkpoint="match", origin="gpt-neox"
    )
    use_bias_in_attn_linear: bool = setting(
        True, "Biases in the attention's linear layers", from_checkpoint="match", origin="gpt-neox"
    )
    use_bias_in_mlp: bool = setting(True, "Biases in the MLP", from_checkpoint="match", origin="gpt-neox")
    attention_softmax_in_fp32: bool = setting(
        False,
        "Softmax of attention in fp32, as it is anyway unless attention_implementation is eager",
        from_checkpoint="take",
        origin="megatron",
    )
    apply_query_key_layer_scaling: bool = setting(
        False,
        "Divide attention scores by the number of the layer before the softmax, which multiplies them again in fp32; "
        "attention_implementation: eager does so, the others have scores in fp32 anyway",
        from_checkpoint="take",
        origin="megatron",
    )
    num_unique_layers: int | None = setting(
        None,
        "Layers with weights of their own",
        origin="gpt-neox",
        changes="nothing",
        unused=NOT_SHARED,
        gt=0,
    )
    param_sharing_style: str = setting(
        "grouped", "Which layers share weights", origin="gpt-neox", changes="nothing", unused=NOT_SHARED
    )
    soft_prompt_tuning: dict[str, Any] | None = setting(
        None,
        "Train nothing but a prompt of embeddings: `enabled`, `num_tokens`, `init_string`, `init_range`",
        from_checkpoint="match",
        origin="gpt-neox",
    )
    attention_dropout: float = setting(
        0.0, "Dropout of attention weights", origin="megatron", asks="dropout", ge=0, lt=1
    )
    hidden_dropout: float = setting(
        0.0, "Dropout on the residual branches and the embedding", origin="megatron", ge=0, lt=1
    )

    # Initialisation

    init_method: InitMethod = setting("normal", "Initialisation of weights", origin="gpt-neox")
    output_layer_init_method: InitMethod = setting(
        "scaled_normal", "Initialisation of the weights that write to the residual stream", origin="gpt-neox"
    )
    init_method_std: float = setting(0.02, "Standard deviation of the normal initialisations", origin="megatron", gt=0)
    use_cpu_initialization: bool = setting(
        False,
        "Initialise weights on the host",
        origin="megatron",
        changes="nothing",
        unused="initial weights are the same on every device",
    )

    # Vocabulary

    make_vocab_size_divisible_by: int = setting(
        128, "The vocabulary is padded to a multiple of this", from_checkpoint="take", origin="megatron", gt=0
    )
    vocab_size: int | None = setting(
        None,
        "Number of token ids; none: as many as the tokenizer has, which is also the least",
        from_checkpoint="take",
        gt=0,
    )
    output_layer_parallelism: Literal["column"] = setting(
        "column",
        "How the head is cut",
        origin="gpt-neox",
        changes="nothing",
        unused="the head is always cut by the vocabulary",
    )
