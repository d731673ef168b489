"""What DeepSpeed 0.19 knows: keys, the names in their dictionaries, and what ZeRO's options take.

With it, what DeepSpeed does not know is found before it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

OF_OTHER_GROUPS = frozenset({"bf16", "bfloat16", "fp16", "gradient_clipping", "optimizer", "scheduler"})
"""Keys of DeepSpeed's configuration beside those of the groups `deepspeed` and `batch`; `bfloat16` is an old `bf16`."""

_AT_LEAST_0 = Annotated[int, Field(ge=0)]

_ZERO_VALUES: tuple[tuple[Any, str], ...] = (
    (
        bool,
        """
        allgather_partitions allgather_sequential compute_grad_norm contiguous_gradients elastic_checkpoint
        enable_sanity_checks gather_16bit_weights_on_model_save ignore_unused_parameters legacy_stage1
        load_from_fp32_weights log_trace_cache_warnings memory_efficient_linear override_module_apply
        parameter_alignment pipeline_loading_checkpoint reduce_scatter round_robin_gradients
        save_muon_momentum_buffer_in_memory stage3_allgather_sequential
        stage3_gather_16bit_weights_on_model_save stage3_gather_fp16_weights_on_model_save
        stage3_use_all_reduce_for_fetch_params use_all_reduce_for_fetch_params use_multi_rank_bucket_allreduce
        zero_quantized_gradients zero_quantized_nontrainable_weights zero_quantized_weights
        """,
    ),
    (bool | None, "cpu_offload cpu_offload_param cpu_offload_use_pin_memory overlap_comm"),
    (int, "module_granularity_threshold stage3_module_granularity_threshold"),
    (
        _AT_LEAST_0,
        """
        allgather_bucket_size max_live_parameters max_reuse_distance model_persistence_threshold
        param_persistence_threshold prefetch_bucket_size stage3_max_live_parameters stage3_max_reuse_distance
        stage3_model_persistence_threshold stage3_param_persistence_threshold stage3_prefetch_bucket_size
        sub_group_size zero_hpz_partition_size
        """,
    ),
    (Annotated[int, Field(gt=0)], "reduce_bucket_size"),
    (dict[str, Any] | None, "leaf_module offload_optimizer offload_param zenflow"),
)

ZERO_VALUES: Mapping[str, Any] = {name: kind for kind, names in _ZERO_VALUES for name in names.split()}
"""Option of ZeRO -> the type of its value, for all but `stage`."""

_NAMES = {
    "fp16": """
        auto_cast consecutive_hysteresis enabled fp16_master_weights_and_grads hysteresis initial_scale_power
        loss_scale loss_scale_window min_loss_scale
    """,
    "bf16": """
        bf16_master_weights_and_grads bf16_optimizer_states check_grad_overflow enabled immediate_grad_update
    """,
    "activation_checkpointing": """
        contiguous_memory_optimization cpu_checkpointing number_checkpoints partition_activations profile
        synchronize_checkpoint_boundary
    """,
    "aio": "block_size intra_op_parallelism overlap_events queue_depth single_submit use_gds",
    "autotuning": """
        arg_mappings enabled end_profile_step exps_dir fast max_train_batch_size
        max_train_micro_batch_size_per_gpu metric metric_path min_train_batch_size
        min_train_micro_batch_size_per_gpu model_info model_info_path mp_size num_tuning_micro_batch_sizes
        overwrite results_dir start_profile_step tuner_early_stopping tuner_num_trials tuner_type
    """,
    "checkpoint": """
        checkpoint_serialization load_universal parallel_write tag_validation use_node_local_storage writer
    """,
    "comet": """
        api_key enabled experiment_key experiment_name mode online project samples_log_interval workspace
    """,
    "comms_logger": "debug enabled prof_all prof_ops verbose",
    "compile": """
        autoep_non_moe debug_log deepcompile double_buffer free_activation free_activation_threshold
        keep_all_input_tensors keep_int_input_tensors offload_activation offload_activation_pin_memory
        offload_opt_states offload_parameters passes symmetric_memory sync_after_allgather sync_after_reduce
        sync_before_allgather sync_before_reduce
    """,
    "csv_monitor": "enabled job_name output_path",
    "data_efficiency": "data_routing data_sampling enabled seed",
    "data_types": "buffer_dtype grad_accum_dtype keep_in_fp32_modules param_dtype",
    "expert_parallel": """
        async_split_plan autoep_size combine_impl comm_backend comm_max_tokens_per_rank comm_num_sm
        comm_qp_margin disable_triton_grouped_mm enabled expert_activation expert_pattern
        expert_tensor_parallel_size expert_w1 expert_w2 expert_w3 gate_up_impl has_shared_experts
        load_balance_coeff moe_layer_pattern num_expert_groups num_experts_attr num_limited_groups preset_model
        route_norm route_scale routed_scaling_factor router_pattern row_weighting_impl score_apply score_func
        shared_experts_gate_pattern shared_experts_pattern top_k top_k_attr use_grouped_mm
        validate_folding_routing
    """,
    "flops_profiler": "detailed enabled module_depth output_file profile_step recompute_fwd_factor top_modules",
    "hybrid_engine": """
        enable_cuda_graph enabled inference_tp_size max_out_tokens pin_parameters release_inference_cache
        tp_gather_partition_size
    """,
    "tensor_parallel": """
        autotp_size dtype injection_policy_tuple keep_module_on_host kernel_inject partition_config preset_model
        replace_with_kernel_inject tensor_parallel tp tp_overlap_comm vocab_parallel_ce_backend
        vocab_parallel_lm_head
    """,
    "tensorboard": "enabled job_name output_path",
    "timers": "throughput",
    "torch_autocast": "dtype enabled lower_precision_safe_modules",
    "wandb": "enabled group project team",
    "weight_quantization": "enabled num_bits post_init_quant q_groups q_type quantized_initialization",
}

DEEPSPEED_NAMES: Mapping[str, frozenset[str]] = {
    "zero_optimization": frozenset({"stage", *ZERO_VALUES}),
    **{key: frozenset(names.split()) for key, names in _NAMES.items()},
}
"""Key -> names in its dictionary."""

NAMES_OF_GPT_NEOX = {
    "fp16": frozenset({"fp16", "type"}),
    "bf16": frozenset(
        {"bf16", "loss_scale", "loss_scale_window", "initial_scale_power", "hysteresis", "min_loss_scale"}
    ),
}
"""Key -> names in its dictionary that GPT-NeoX's files have beside those, and that are not handed to DeepSpeed."""
