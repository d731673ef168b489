"""The core's own groups: each key with its type, default, range and meaning. Plugins own the keys of what they configure."""

from __future__ import annotations

from typing import Any, Literal

from neox_core.config.settings import Settings, setting

InitMethod = Literal[
    "normal",
    "scaled_normal",
    "single_residual_scaled_normal",
    "small_init",
    "wang_init",
    "xavier_normal",
    "xavier_uniform",
]


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
        None, "Width of the MLP; none: four times hidden_size", from_checkpoint="match", origin="gpt-neox", gt=0
    )
    norm: str = setting("layernorm", "Normalisation, by name", from_checkpoint="match", origin="gpt-neox")
    layernorm_epsilon: float = setting(
        1e-5, "Added to the variance in layernorm", from_checkpoint="take", origin="megatron", gt=0
    )
    rms_norm_epsilon: float = setting(
        1e-8, "Added to the mean square in rmsnorm", from_checkpoint="take", origin="gpt-neox", gt=0
    )
    pos_emb: str = setting("learned", "Positions, by name", from_checkpoint="match", origin="gpt-neox")
    rotary_pct: float = setting(
        1.0, "Share of each head that rotary positions rotate", from_checkpoint="match", origin="gpt-neox", gt=0, le=1
    )
    rotary_emb_base: int = setting(
        10000, "Base of rotary frequencies", from_checkpoint="match", origin="gpt-neox", gt=0
    )
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
    attention_dropout: float = setting(0.0, "Dropout of attention weights", origin="megatron", ge=0, lt=1)
    hidden_dropout: float = setting(
        0.0, "Dropout on the residual branches and the embedding", origin="megatron", ge=0, lt=1
    )
    init_method: InitMethod = setting("normal", "Initialisation of weights", origin="gpt-neox")
    output_layer_init_method: InitMethod = setting(
        "scaled_normal", "Initialisation of the weights that write to the residual stream", origin="gpt-neox"
    )
    init_method_std: float = setting(0.02, "Standard deviation of the normal initialisations", origin="megatron", gt=0)
    make_vocab_size_divisible_by: int = setting(
        128, "The vocabulary is padded to a multiple of this", from_checkpoint="match", origin="megatron", gt=0
    )
    vocab_size: int | None = setting(
        None,
        "Number of token ids; none: as many as the tokenizer has, which is also the least",
        from_checkpoint="match",
        origin="neox",
        gt=0,
    )
    output_layer_parallelism: Literal["column"] = setting("column", "How the head is cut", origin="gpt-neox")


class MixtureSettings(Settings, group="mixture"):
    """Which layers have a mixture of experts, and whose."""

    moe_num_experts: int = setting(
        1, "Experts of a layer; 1: no mixture", from_checkpoint="match", origin="gpt-neox", ge=1
    )
    moe_expert_interval: int = setting(
        1,
        "Every how many layers there is a mixture, beginning with the first",
        from_checkpoint="match",
        origin="gpt-neox",
        ge=1,
    )
    moe_type: str = setting("torch", "Implementation of the mixture, by name", origin="gpt-neox")


class TrainingSettings(Settings, group="training"):
    """How long and towards what."""

    train_iters: int = setting(..., "Optimizer steps in all", origin="megatron", gt=0)
    train_impl: str = setting("normal", "Training objective, by name", origin="gpt-neox")
    eval_interval: int = setting(1000, "Steps between evaluations", origin="megatron", gt=0)
    eval_iters: int = setting(100, "Batches of one evaluation; 0: no evaluation", origin="megatron", ge=0)
    exit_interval: int | None = setting(None, "Save and end after a step that this divides", origin="megatron", gt=0)
    seed: int = setting(1234, "Seed of initialisation, data order and dropout", origin="megatron", gt=0)
    max_skipped_steps: int = setting(
        50, "So many steps skipped in a row, for non-finite gradients, end the run", origin="neox", ge=0
    )


class DataSettings(Settings, group="data"):
    """Where the tokens are."""

    data_path: str | None = setting(None, "One token file, by its prefix, cut by `split`", origin="megatron")
    split: str = setting("969, 30, 1", "Parts of data_path for training, validation and test", origin="megatron")
    train_data_paths: list[str] | None = setting(None, "Token files for training, by prefix", origin="gpt-neox")
    valid_data_paths: list[str] | None = setting(None, "Token files for validation", origin="gpt-neox")
    test_data_paths: list[str] | None = setting(None, "Token files for testing", origin="gpt-neox")
    train_data_weights: list[float] | None = setting(
        None, "Weight of each training file; none: equal", origin="gpt-neox"
    )
    valid_data_weights: list[float] | None = setting(None, "Weight of each validation file", origin="gpt-neox")
    test_data_weights: list[float] | None = setting(None, "Weight of each test file", origin="gpt-neox")
    data_impl: Literal["infer", "mmap"] = setting("infer", "Format of the token files", origin="megatron")
    eod_mask_loss: bool = setting(False, "No loss where the input is the end-of-document token", origin="megatron")


class TokenizerSettings(Settings, group="tokenizer"):
    """How text becomes tokens."""

    tokenizer_type: Literal[
        "GPT2BPETokenizer", "HFTokenizer", "HFGPT2Tokenizer", "SPMTokenizer", "CharLevelTokenizer", "TiktokenTokenizer"
    ] = setting("GPT2BPETokenizer", "Kind of tokenizer", from_checkpoint="take", origin="gpt-neox")
    vocab_file: str | None = setting(
        None, "Its vocabulary, or its whole definition", from_checkpoint="take", origin="megatron"
    )
    merge_file: str | None = setting(
        None, "Its merges, where they are apart", from_checkpoint="take", origin="megatron"
    )


class ParallelismSettings(Settings, group="parallelism"):
    """How a model is cut over ranks."""

    pipe_parallel_size: int = setting(0, "Pipeline stages; 0 and 1: none", origin="gpt-neox", ge=0)
    model_parallel_size: int = setting(1, "Tensor-parallel ranks", origin="megatron", ge=0)


class PrecisionSettings(Settings, group="precision"):
    """Number formats."""

    precision: Literal["fp32", "fp16", "bfloat16"] | None = setting(
        None, "Of parameters and activations; none: as the fp16 and bf16 dictionaries say", origin="gpt-neox"
    )
    fp16: dict[str, Any] | None = setting(None, "DeepSpeed's fp16 dictionary", origin="deepspeed")
    bf16: dict[str, Any] | None = setting(None, "DeepSpeed's bf16 dictionary", origin="deepspeed")


class OptimizerSettings(Settings, group="optimizer"):
    """Which optimizer, and the size of its steps."""

    optimizer: dict[str, Any] | None = setting(
        None, "`type`: an optimizer by name, `params`: its options; none: Adam with lr 0.001", origin="deepspeed"
    )
    weight_decay: float = setting(0.1, "Decay of weights; biases and norms are exempt", origin="megatron", ge=0)
    gradient_clipping: float = setting(1.0, "Largest norm of the gradient; 0: no clipping", origin="deepspeed", ge=0)


class ScheduleSettings(Settings, group="schedule"):
    """The learning rate over time."""

    lr_decay_style: str = setting("linear", "Schedule, by name", origin="megatron")
    lr_decay_iters: int | None = setting(
        None, "Steps over which the rate falls; none: train_iters", origin="megatron", gt=0
    )
    lr_decay_fraction: float | None = setting(
        None, "The same as a share of train_iters, where lr_decay_iters is not given", origin="gpt-neox", gt=0, le=1
    )
    min_lr: float = setting(0.0, "Lower bound of the rate", origin="megatron", ge=0)
    warmup: float = setting(0.01, "Share of the decay steps over which the rate rises", origin="megatron", ge=0, le=1)


class BatchSettings(Settings, group="batch"):
    """Samples in a step: at least one of the first two; what is not given is computed."""

    train_batch_size: int | None = setting(
        None, "Samples in one optimizer step, over all ranks", origin="deepspeed", gt=0
    )
    train_micro_batch_size_per_gpu: int | None = setting(
        None, "Samples in one forward pass of one rank", origin="deepspeed", gt=0
    )
    gradient_accumulation_steps: int | None = setting(None, "Forward passes in one step", origin="deepspeed", gt=0)


class DeepSpeedSettings(Settings, group="deepspeed"):
    """What is handed to DeepSpeed."""

    zero_optimization: dict[str, Any] | None = setting(None, "ZeRO's dictionary, with its stage", origin="deepspeed")
    steps_per_print: int | None = setting(
        None, "Steps between DeepSpeed's own lines; none: it is silent", origin="deepspeed", gt=0
    )
    wall_clock_breakdown: bool = setting(False, "DeepSpeed's timing of the parts of a step", origin="deepspeed")
    deepspeed_extra_args: dict[str, Any] | None = setting(
        None, "Further keys of DeepSpeed's configuration; none may repeat one that is set otherwise", origin="gpt-neox"
    )


class CheckpointSettings(Settings, group="checkpoint"):
    """Saving and resuming."""

    save: str | None = setting(None, "Directory for checkpoints; none: nothing is saved", origin="megatron")
    load: str | None = setting(None, "Directory with checkpoints to resume from", origin="megatron")
    checkpoint_factor: int | None = setting(
        None, "Steps between checkpoints; none: only at the end", origin="gpt-neox", gt=0
    )
    extra_save_iters: list[int] | None = setting(None, "Further steps after which to save", origin="gpt-neox")
    keep_last_n_checkpoints: int | None = setting(None, "How many to keep; none: all", origin="gpt-neox", gt=0)
    iteration: int | None = setting(
        None, "Step of the checkpoint to resume from; none: the newest", origin="gpt-neox", ge=0
    )


class LoggingSettings(Settings, group="logging"):
    """What is told, and where a run's files are."""

    loggers: list[str] | None = setting(
        None, "Loggers by name; none: the default ones and those whose key is set", origin="neox"
    )
    log_interval: int = setting(100, "Steps between lasting lines", origin="megatron", gt=0)
    run_name: str | None = setting(None, "Name of the run; none: that of the first configuration file", origin="neox")
    runs_dir: str = setting("runs", "Directory under which each run gets its own", origin="neox")


class RunnerSettings(Settings, group="runner"):
    """Machines, and how ranks are started on them."""

    launcher: str = setting("local", "Launcher, by name", origin="deepspeed-launcher")
    hostfile: str | None = setting(None, "File with lines `host slots=N`", origin="deepspeed-launcher")
    include: str | None = setting(None, "Hosts and slots to use: `host:0,1@host`", origin="deepspeed-launcher")
    exclude: str | None = setting(None, "Hosts and slots not to use", origin="deepspeed-launcher")
    num_nodes: int = setting(-1, "Use so many hosts of the hostfile; -1: all", origin="deepspeed-launcher", ge=-1)
    num_gpus: int | None = setting(None, "Ranks on each host, on CPUs too", origin="deepspeed-launcher", gt=0)
    master_addr: str | None = setting(None, "Address of rank 0", origin="deepspeed-launcher")
    master_port: int = setting(29500, "Its port; 0: any free one", origin="deepspeed-launcher", ge=0, le=65535)
    device: Literal["cpu", "cuda"] | None = setting(
        None, "Kind of device; none: GPUs where there are some", origin="neox"
    )


class PluginSettings(Settings, group="plugins"):
    """Which plugins are let in; read before anything else."""

    plugin_disable: list[str] = setting([], "Plugins and components not to use", origin="neox")
    plugin_prefer: dict[str, str] = setting(
        {}, "`kind.name` -> distribution, where several offer a name", origin="neox"
    )
    plugin_require: list[str] = setting([], "Requirements on plugins, such as `acme-neox>=1.2`", origin="neox")


CORE_GROUPS: tuple[type[Settings], ...] = (
    ModelSettings,
    MixtureSettings,
    TrainingSettings,
    DataSettings,
    TokenizerSettings,
    ParallelismSettings,
    PrecisionSettings,
    OptimizerSettings,
    ScheduleSettings,
    BatchSettings,
    DeepSpeedSettings,
    CheckpointSettings,
    LoggingSettings,
    RunnerSettings,
    PluginSettings,
)
