"""DeepSpeed's own configuration."""

from typing import Any, Literal

from neox_core.config.settings import Changes, Settings, setting

FloatName = Literal["fp16", "bf16", "fp32"]


def _dictionary(description: str, changes: Changes, **further: Any) -> Any:
    return setting(None, description, origin="deepspeed", changes=changes, **further)


class DeepSpeedSettings(Settings, group="deepspeed"):
    """What is handed to DeepSpeed as it is."""

    # Memory and optimizer states

    zero_optimization: dict[str, Any] | None = _dictionary("ZeRO's dictionary, with its stage", "speed")
    zero_allow_untested_optimizer: bool | None = setting(
        None,
        "Let ZeRO have an optimizer that has not been proved with its stage; none: no",
        origin="deepspeed",
        changes="nothing",
    )
    zero_force_ds_cpu_optimizer: bool | None = setting(
        None, "Offload only DeepSpeed's own optimizer; none: any", origin="deepspeed", changes="speed"
    )
    activation_checkpointing: dict[str, Any] | None = _dictionary(
        "Options of DeepSpeed's activation checkpointing", "speed", pending=True
    )
    aio: dict[str, Any] | None = _dictionary("Reading and writing of what is offloaded to disks", "speed")
    checkpoint: dict[str, Any] | None = _dictionary("How DeepSpeed writes its checkpoints", "nothing")
    datastates_ckpt: dict[str, Any] | None = _dictionary("Checkpoints by DataStates", "nothing")

    # Numbers

    data_types: dict[str, Any] | None = _dictionary(
        "Number formats of parameters, buffers and summed gradients", "numerics"
    )
    torch_autocast: dict[str, Any] | None = _dictionary("Mixed precision by torch.autocast", "numerics")
    weight_quantization: dict[str, Any] | None = _dictionary("Quantised weights", "numerics")
    vocabulary_size: int | None = setting(
        None,
        "Number of token ids, of which DeepSpeed says whether it suits the device",
        origin="deepspeed",
        changes="nothing",
        gt=0,
    )

    # Communication

    communication_data_type: FloatName | None = setting(
        None, "Number format in which gradients are summed over ranks; none: their own", origin="deepspeed"
    )
    seq_parallel_communication_data_type: FloatName = setting(
        "fp32", "The same over the ranks of DeepSpeed's sequence parallelism", origin="deepspeed"
    )
    prescale_gradients: bool = setting(False, "Divide gradients before they are summed over ranks", origin="deepspeed")
    gradient_predivide_factor: float = setting(
        1.0, "By what prescale_gradients divides before; the rest after", origin="deepspeed", gt=0
    )
    gradient_allreduce_op: Literal["mean", "sum"] = setting(
        "mean", "What ranks make of their gradients", origin="deepspeed"
    )
    managed_gradient_accumulation: bool = setting(
        True, "DeepSpeed counts the passes of a step, rather than its caller", origin="deepspeed", pending="refused"
    )
    disable_allgather: bool = setting(
        False, "Broadcast parameters rather than gather them", origin="deepspeed", changes="speed"
    )
    comms_logger: dict[str, Any] | None = _dictionary("A log of what ranks send each other", "nothing")

    # DeepSpeed's own ways to cut a model

    pipeline: dict[str, Any] | None = _dictionary("Options of DeepSpeed's pipelines", "speed")
    tensor_parallel: dict[str, Any] | None = _dictionary(
        "DeepSpeed's automatic tensor parallelism", "speed", pending="refused"
    )
    expert_parallel: dict[str, Any] | None = _dictionary(
        "DeepSpeed's automatic expert parallelism", "speed", pending="refused"
    )
    sequence_parallel_size: int | None = setting(
        None,
        "Ranks that share a sequence in DeepSpeed's mesh of ranks",
        origin="deepspeed",
        changes="speed",
        pending="refused",
        gt=0,
    )
    data_parallel_size: int | None = setting(
        None,
        "Ranks with different samples in DeepSpeed's mesh of ranks",
        origin="deepspeed",
        changes="speed",
        pending="refused",
        gt=0,
    )
    use_data_before_expert_parallelism: bool = setting(
        False, "Number data-parallel ranks before expert-parallel ones", origin="deepspeed", changes="speed"
    )

    # Data, compilation, tuning

    data_efficiency: dict[str, Any] | None = _dictionary("DeepSpeed's sampling and routing of data", "numerics")
    dataloader_drop_last: bool = setting(
        False,
        "DeepSpeed's own loader leaves out an incomplete batch",
        origin="deepspeed",
        changes="nothing",
        unused="neox loads the data itself, in whole batches",
    )
    compile: dict[str, Any] | None = _dictionary("DeepSpeed's compiler", "speed")
    hybrid_engine: dict[str, Any] | None = _dictionary(
        "An engine that trains and generates in turn", "speed", pending="refused"
    )
    disable_python_gc: bool = setting(
        False, "Train without Python's garbage collector", origin="deepspeed", changes="speed"
    )
    autotuning: dict[str, Any] | None = _dictionary("A search for fast settings, begun by autotuning_run", "nothing")

    # What DeepSpeed tells

    steps_per_print: int | None = setting(
        None, "Steps between DeepSpeed's own lines; none: it is silent", origin="deepspeed", changes="nothing", gt=0
    )
    wall_clock_breakdown: bool = setting(
        False, "DeepSpeed's timing of the parts of a step", origin="deepspeed", changes="nothing"
    )
    memory_breakdown: bool = setting(
        False, "DeepSpeed's account of memory at the parts of a step", origin="deepspeed", changes="nothing"
    )
    dump_state: bool = setting(False, "Print the engine's state once it is made", origin="deepspeed", changes="nothing")
    log_level: Literal["debug", "info", "warning", "error", "critical"] | None = setting(
        None, "Least level of what DeepSpeed tells; none: its own choice", origin="deepspeed", changes="nothing"
    )
    timers: dict[str, Any] | None = _dictionary("Measurement of throughput", "nothing")
    flops_profiler: dict[str, Any] | None = _dictionary("Account of operations of each module", "nothing")
    tensorboard: dict[str, Any] | None = _dictionary("DeepSpeed's own TensorBoard files", "nothing")
    wandb: dict[str, Any] | None = _dictionary("DeepSpeed's own run at Weights & Biases", "nothing")
    comet: dict[str, Any] | None = _dictionary("DeepSpeed's own experiment at Comet", "nothing")
    csv_monitor: dict[str, Any] | None = _dictionary("DeepSpeed's own CSV files", "nothing")

    # The rest

    deepspeed_extra_args: dict[str, Any] | None = setting(
        None, "Further keys of DeepSpeed's configuration; none may repeat one that is set otherwise", origin="gpt-neox"
    )
