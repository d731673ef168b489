"""The names that DeepSpeed 0.19 knows in the dictionaries that are handed to it, so that others are found before it starts."""

from __future__ import annotations

_ZERO = """
    allgather_bucket_size allgather_partitions allgather_sequential compute_grad_norm contiguous_gradients cpu_offload
    cpu_offload_param cpu_offload_use_pin_memory elastic_checkpoint enable_sanity_checks gather_16bit_weights_on_model_save
    ignore_unused_parameters leaf_module legacy_stage1 load_from_fp32_weights log_trace_cache_warnings max_live_parameters
    max_reuse_distance memory_efficient_linear model_persistence_threshold module_granularity_threshold offload_optimizer
    offload_param overlap_comm override_module_apply param_persistence_threshold parameter_alignment
    pipeline_loading_checkpoint prefetch_bucket_size reduce_bucket_size reduce_scatter round_robin_gradients
    save_muon_momentum_buffer_in_memory stage stage3_allgather_sequential stage3_gather_16bit_weights_on_model_save
    stage3_gather_fp16_weights_on_model_save stage3_max_live_parameters stage3_max_reuse_distance
    stage3_model_persistence_threshold stage3_module_granularity_threshold stage3_param_persistence_threshold
    stage3_prefetch_bucket_size stage3_use_all_reduce_for_fetch_params sub_group_size use_all_reduce_for_fetch_params
    use_multi_rank_bucket_allreduce zenflow zero_hpz_partition_size zero_quantized_gradients
    zero_quantized_nontrainable_weights zero_quantized_weights
"""
_FP16 = """
    auto_cast consecutive_hysteresis enabled fp16_master_weights_and_grads hysteresis initial_scale_power loss_scale
    loss_scale_window min_loss_scale
"""
_BF16 = "bf16_master_weights_and_grads bf16_optimizer_states check_grad_overflow enabled immediate_grad_update"

DEEPSPEED_NAMES = {
    "zero_optimization": frozenset(_ZERO.split()),
    "fp16": frozenset(_FP16.split()),
    "bf16": frozenset(_BF16.split()),
}
"""Key -> names in its dictionary."""

GPT_NEOX_NAMES = {"fp16": frozenset({"fp16", "type"})}
"""Key -> names in its dictionary that GPT-NeoX's files have beside those, and that are not handed to DeepSpeed."""
