"""What DeepSpeed 0.19 has in the dictionaries of its configuration: the names, those within them, and the types of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, Strict, TypeAdapter, ValidationError


class Options(NamedTuple):
    """What is in a dictionary.

    Args:
        types: option -> the type of its value, or the `Options` of a dictionary within.
        model: whether DeepSpeed reads it with a model, which makes `true` of 1, a whole number of `5e8`, and takes `auto` for its
            default; the values of other dictionaries are used as they are.
        null: whether null may stand in the dictionary's place.
    """

    types: Mapping[str, Any]
    model: bool = False
    null: bool = False

    def fits(self, name: str, value: Any) -> bool:
        """Whether DeepSpeed reads the value of an option; that of a dictionary is not looked into."""
        kind = self.types[name]
        if self.model and value == "auto":
            return kind is not _SWITCH
        if isinstance(kind, Options):
            return isinstance(value, dict) or (kind.null and value is None)
        try:
            _adapter(kind).validate_python(value, strict=None if self.model else True)
        except ValidationError:
            return False
        return True

    def walk(self, *path: str) -> Iterator[tuple[tuple[str, ...], Options]]:
        """This dictionary and all within it, each with the path to it."""
        yield path, self
        for name, inner in self.types.items():
            if isinstance(inner, Options):
                yield from inner.walk(*path, name)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _types(kinds: Mapping[Any, str], **further: Any) -> dict[str, Any]:
    """Option -> type, from the names of each type, in one text."""
    return {name: kind for kind, names in kinds.items() for name in names.split()} | further


def _model(kinds: Mapping[Any, str], *, null: bool = False, **further: Any) -> Options:
    return Options(_types(kinds, **further), model=True, null=null)


def _values(kinds: Mapping[Any, str], *, null: bool = False, **further: Any) -> Options:
    return Options(_types(kinds, **further), null=null)


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers here")
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


_COUNT = Annotated[int, Field(ge=0)]
_POSITIVE = Annotated[int, Field(gt=0)]
_POSITIVE_NO_SWITCH = Annotated[int, BeforeValidator(_no_switch), Field(gt=0)]
_SHARE = Annotated[float, Field(ge=0, le=1)]
_SWITCH = Annotated[bool, Strict()]
"""What says whether a number format is used, which is read here too."""
_FLOATS = Literal["fp32", "fp16", "bf16", "float32", "float16", "bfloat16", "float", "half"]
_OBJECT = Literal["auto"]
"""Of a value that only a program can give, in the place of which a file may say nothing."""

_OFFLOAD = {
    Literal["none", "cpu", "nvme"]: "device",
    str | None: "nvme_path",
    _COUNT: "buffer_count",
    bool: "pin_memory",
}

_ZERO = _model(
    {
        bool: """
            allgather_partitions allgather_sequential compute_grad_norm contiguous_gradients elastic_checkpoint
            enable_sanity_checks gather_16bit_weights_on_model_save ignore_unused_parameters legacy_stage1
            load_from_fp32_weights log_trace_cache_warnings memory_efficient_linear override_module_apply
            parameter_alignment pipeline_loading_checkpoint reduce_scatter round_robin_gradients
            save_muon_momentum_buffer_in_memory stage3_allgather_sequential
            stage3_gather_16bit_weights_on_model_save stage3_gather_fp16_weights_on_model_save
            stage3_use_all_reduce_for_fetch_params use_all_reduce_for_fetch_params use_multi_rank_bucket_allreduce
            zero_quantized_gradients zero_quantized_nontrainable_weights zero_quantized_weights
        """,
        bool | None: "cpu_offload cpu_offload_param cpu_offload_use_pin_memory overlap_comm",
        int: "module_granularity_threshold stage3_module_granularity_threshold",
        _COUNT: """
            allgather_bucket_size max_live_parameters max_reuse_distance model_persistence_threshold
            param_persistence_threshold prefetch_bucket_size stage3_max_live_parameters stage3_max_reuse_distance
            stage3_model_persistence_threshold stage3_param_persistence_threshold stage3_prefetch_bucket_size
            sub_group_size zero_hpz_partition_size
        """,
        _POSITIVE: "reduce_bucket_size",
        Literal[0, 1, 2, 3]: "stage",
    },
    leaf_module=_model({list[str] | str: "classes names name_suffixes"}, null=True),
    offload_optimizer=_model(
        {
            **_OFFLOAD,
            bool: "pin_memory pipeline_read pipeline_write fast_init super_offload",
            _SHARE: "ratio cpuadam_cores_perc",
        },
        null=True,
    ),
    offload_param=_model({**_OFFLOAD, _COUNT: "buffer_count buffer_size max_in_cpu"}, null=True),
    zenflow=_model(
        {
            Annotated[float, Field(gt=0, lt=1)]: "topk_ratio",
            Literal["auto", "step", "epoch"]: "select_strategy",
            Annotated[int, Strict()] | Literal["auto"]: "select_interval",
            Annotated[int, Strict(), Field(ge=1)] | Literal["auto"]: "update_interval",
            bool: "overlap_step offload",
            _SHARE: "auto_ratio pt_reserved_cores_perc",
            int: "full_warm_up_rounds",
            int | None: "steps_per_epoch",
        },
        null=True,
    ),
)

_DATA_SAMPLING = _values(
    {bool: "enabled pin_memory", _POSITIVE: "num_epochs", _COUNT: "num_workers"},
    curriculum_learning=_values({bool: "enabled", str: "data_cluster_path", dict[str, Any]: "curriculum_metrics"}),
    dynamic_batching=_values(
        {
            bool: "enabled verbose",
            _POSITIVE: "max_tokens min_batch_size",
            _POSITIVE | None: "max_batch_size",
            Literal["linear", "sqrt", "none"]: "lr_scaling_method",
            Literal["random", "seqlen", "dataloader"]: "sequence_picking_order",
            str: "metrics_path",
        }
    ),
)

_RANDOM_LTD = _values(
    {
        bool: "enabled",
        _POSITIVE: "global_batch_size micro_batch_size random_ltd_layer_num total_layer_num",
        list[int]: "random_ltd_layer_id",
        str | None: "model_mask_name",
        str: "hidden_state_order model_type",
    },
    layer_token_lr_schedule=_values(
        {bool: "enabled", int: "total_layer_tokens warmup_layer_tokens", str: "warmup_type"}
    ),
    random_ltd_schedule=_values(
        {_POSITIVE: "min_value max_value", str: "schedule_type"},
        schedule_config=_values({_POSITIVE: "require_steps seq_per_step"}),
    ),
)

_CHECKPOINT_WRITER = _values(
    {
        Annotated[Literal["MOCK", "PYTHON", "FAST"], BeforeValidator(_upper)] | None: "type",
        Annotated[Literal["REPLICA", "SOCKET", "MACHINE"], BeforeValidator(_upper)] | None: "data_parallel",
        _POSITIVE: "io_buffer_size io_multiplier",
        bool: "io_buffer_double show_statistics decoupled",
    },
    null=True,
)

_TENSOR_PARALLEL = _model({int: "tp_size tp_grain_size", Any: "mpu tp_group"})

DEEPSPEED_OPTIONS: Mapping[str, Options] = {
    "zero_optimization": _ZERO,
    # Number formats
    "fp16": _model(
        {
            _SWITCH: "enabled",
            bool: "auto_cast consecutive_hysteresis fp16_master_weights_and_grads",
            int: "hysteresis initial_scale_power",
            _POSITIVE_NO_SWITCH: "loss_scale_window min_loss_scale",
            Annotated[float, BeforeValidator(_no_switch), Field(ge=0, allow_inf_nan=False)]: "loss_scale",
        }
    ),
    "bf16": _model(
        {
            _SWITCH: "enabled",
            bool: "bf16_master_weights_and_grads bf16_optimizer_states check_grad_overflow immediate_grad_update",
        }
    ),
    "data_types": _values(
        {
            _FLOATS | None: "buffer_dtype grad_accum_dtype param_dtype",
            list[str] | Literal["auto"]: "keep_in_fp32_modules",
        }
    ),
    "torch_autocast": _values({bool: "enabled", _FLOATS: "dtype", list[str]: "lower_precision_safe_modules"}),
    "weight_quantization": _model(
        {
            bool: "enabled",
            int: "num_bits q_groups",
            Literal["asymmetric", "symmetric"]: "q_type",
            dict[str, Any]: "post_init_quant quantized_initialization",
        }
    ),
    # Memory and files
    "activation_checkpointing": _values(
        {
            bool: """
                contiguous_memory_optimization cpu_checkpointing partition_activations profile
                synchronize_checkpoint_boundary
            """,
            _POSITIVE | None: "number_checkpoints",
        }
    ),
    "aio": _values(
        {bool: "overlap_events single_submit use_gds", _POSITIVE: "block_size intra_op_parallelism queue_depth"}
    ),
    "checkpoint": _values(
        {
            bool: "checkpoint_serialization load_universal use_node_local_storage",
            Annotated[Literal["WARN", "IGNORE", "FAIL"], BeforeValidator(_upper)]: "tag_validation",
        },
        parallel_write=_values({bool: "pipeline_stage"}),
        writer=_CHECKPOINT_WRITER,
    ),
    # DeepSpeed's own ways to cut a model
    "expert_parallel": _values(
        {
            bool: """
                async_split_plan disable_triton_grouped_mm enabled use_grouped_mm validate_folding_routing
            """,
            bool | None: "has_shared_experts route_norm",
            _POSITIVE: "autoep_size expert_tensor_parallel_size",
            int: "comm_max_tokens_per_rank comm_num_sm comm_qp_margin",
            int | None: "num_expert_groups num_limited_groups",
            float: "route_scale",
            int | Literal["auto"]: "top_k",
            float | Literal["auto"]: "routed_scaling_factor",
            str | None: """
                expert_activation expert_pattern expert_w1 expert_w2 expert_w3 moe_layer_pattern num_experts_attr
                preset_model router_pattern shared_experts_gate_pattern shared_experts_pattern top_k_attr
            """,
            type(None): "load_balance_coeff",
            Literal["auto", "pre", "post"]: "score_apply",
            Literal["auto", "weighted_sum", "fused_weighted_sum", "legacy_bmm"]: "combine_impl",
            Literal["auto", "eager", "fused"]: "row_weighting_impl",
            Literal["separate", "fused"]: "gate_up_impl",
            Literal["comm", "deepep"]: "comm_backend",
            Literal["auto", "softmax", "sigmoid"]: "score_func",
        }
    ),
    "tensor_parallel": _model(
        {
            int: "autotp_size",
            bool: "keep_module_on_host kernel_inject replace_with_kernel_inject tp_overlap_comm",
            bool | None: "vocab_parallel_lm_head",
            Literal["torch", "liger"]: "vocab_parallel_ce_backend",
            str | None: "preset_model",
            list[Any] | None: "injection_policy_tuple",
            dict[str, Any] | None: "partition_config",
            _OBJECT: "dtype",
        },
        tensor_parallel=_TENSOR_PARALLEL,
        tp=_TENSOR_PARALLEL,
    ),
    # Data, compilation, tuning
    "autotuning": _values(
        {
            bool: "enabled fast overwrite",
            Annotated[str, Field(min_length=1)]: "exps_dir results_dir",
            str | None: "metric_path model_info_path",
            Literal["latency", "throughput", "flops", "forward"]: "metric",
            Literal["gridsearch", "random", "model_based"]: "tuner_type",
            _COUNT: "end_profile_step start_profile_step tuner_early_stopping",
            _POSITIVE: """
                max_train_micro_batch_size_per_gpu min_train_batch_size min_train_micro_batch_size_per_gpu mp_size
                num_tuning_micro_batch_sizes tuner_num_trials
            """,
            _POSITIVE | None: "max_train_batch_size",
            dict[str, Any] | None: "arg_mappings",
        },
        model_info=_values({bool: "profile", _POSITIVE | None: "hidden_size num_layers num_params"}, null=True),
    ),
    "compile": _model(
        {
            bool: """
                autoep_non_moe debug_log deepcompile double_buffer free_activation keep_all_input_tensors
                keep_int_input_tensors offload_activation offload_activation_pin_memory offload_opt_states
                offload_parameters symmetric_memory sync_after_allgather sync_after_reduce sync_before_allgather
                sync_before_reduce
            """,
            int: "free_activation_threshold",
            list[Literal["z1", "z3", "autosp", "autotp"]] | None: "passes",
        }
    ),
    "data_efficiency": _values(
        {bool: "enabled", int: "seed"},
        data_routing=_values({bool: "enabled"}, random_ltd=_RANDOM_LTD),
        data_sampling=_DATA_SAMPLING,
    ),
    "hybrid_engine": _model(
        {
            bool: "enable_cuda_graph enabled pin_parameters release_inference_cache",
            int: "inference_tp_size tp_gather_partition_size",
            _POSITIVE: "max_out_tokens",
        }
    ),
    # What DeepSpeed tells
    "comet": _model(
        {
            bool: "enabled",
            bool | None: "online",
            int: "samples_log_interval",
            str | None: "api_key experiment_key experiment_name mode project workspace",
        }
    ),
    "comms_logger": _model({bool: "debug enabled prof_all verbose", list[Any]: "prof_ops"}),
    "csv_monitor": _model({bool: "enabled", str: "job_name output_path"}),
    "flops_profiler": _values(
        {
            bool: "detailed enabled",
            Annotated[float, Field(ge=0)]: "recompute_fwd_factor",
            _COUNT: "profile_step",
            Annotated[int, Field(ge=-1)]: "module_depth",
            _POSITIVE: "top_modules",
            str | None: "output_file",
        }
    ),
    "tensorboard": _model({bool: "enabled", str: "job_name output_path"}),
    "timers": _values({}, throughput=_model({bool: "enabled synchronized"})),
    "wandb": _model({bool: "enabled", str: "project", str | None: "group team"}),
}
"""By key."""
