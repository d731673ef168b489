"""What other tools call the same settings: Megatron-LM, Hugging Face, nanoGPT, torchtitan. Their names find the key here."""

from __future__ import annotations

from collections.abc import Mapping

KEYS: Mapping[str, str] = {
    name: key
    for key, names in {
        "num_layers": "n_layer n_layers num_hidden_layers",
        "hidden_size": "n_embd n_embed d_model dim",
        "num_attention_heads": "n_head n_heads num_heads",
        "num_kv_heads": "n_kv_heads n_query_groups num_query_groups num_key_value_heads",
        "intermediate_size": "ffn_hidden_size n_inner",
        "seq_length": "seq_len max_seq_len block_size context_length encoder_seq_length",
        "max_position_embeddings": "n_positions",
        "rotary_emb_base": "rope_theta rotary_base",
        "hidden_dropout": "dropout resid_pdrop",
        "attention_dropout": "attn_pdrop",
        "init_method_std": "initializer_range",
        "train_micro_batch_size_per_gpu": "micro_batch_size local_batch_size per_device_train_batch_size",
        "train_batch_size": "global_batch_size",
        "gradient_accumulation_steps": "grad_accum_steps accumulate_grad_batches",
        "gradient_clipping": "max_grad_norm grad_clip max_norm clip_grad_norm",
        "train_iters": "max_steps max_iters train_steps num_steps",
        "lr_decay_style": "lr_scheduler lr_scheduler_type",
        "warmup": "lr_warmup_iters lr_warmup_fraction warmup_steps warmup_ratio",
        "model_parallel_size": "tensor_model_parallel_size tensor_parallel_size tensor_parallel_degree",
        "pipe_parallel_size": "pipeline_model_parallel_size pipeline_parallel_size pipeline_parallel_degree",
        "checkpoint_factor": "save_steps save_every ckpt_interval",
        "save": "output_dir out_dir save_dir checkpoint_dir",
        "load": "resume resume_from_checkpoint init_from",
        "optimizer": "learning_rate",
    }.items()
    for name in names.split()
}
"""A name elsewhere -> the key."""

VALUES: Mapping[str, Mapping[str, str]] = {
    "precision": {
        "float32": "fp32",
        "float": "fp32",
        "single": "fp32",
        "float16": "fp16",
        "half": "fp16",
        "mixed": "bfloat16",
    },
}
"""By key: a value elsewhere -> the value."""
