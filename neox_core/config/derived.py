"""What is computed from the settings, by GPT-NeoX's names: read as attributes of `NeoXArgs`, never set, never saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from neox_core.config.deepspeed_json import ZERO_DEFAULTS
from neox_core.config.groups import OptimizerSettings, ParallelismSettings

if TYPE_CHECKING:
    from neox_core.config.resolved import Resolved


class Derived(NamedTuple):
    """A computed value.

    Args:
        description: what it is.
        source: the keys that it is computed from, as a phrase that names them.
        compute: computes it from what the settings resolve to.
    """

    description: str
    source: str
    compute: Callable[[Resolved], Any]


def _zero_option(name: str) -> Derived:
    def compute(resolved: Resolved) -> Any:
        return resolved.deepspeed["zero_optimization"].get(name, ZERO_DEFAULTS[name])

    description = f"ZeRO's {name}; GPT-NeoX's default where it is not given"
    return Derived(description, f"zero_optimization.{name}", compute)


_PRECISIONS = {"fp32": "fp32", "fp16": "fp16", "bf16": "bfloat16"}

DERIVED: Mapping[str, Derived] = {
    "deepspeed_config": Derived(
        "The configuration that DeepSpeed is given",
        "train_batch_size, train_micro_batch_size_per_gpu, gradient_accumulation_steps, precision, optimizer and the keys of the "
        "group deepspeed",
        lambda resolved: dict(resolved.deepspeed),
    ),
    "all_config": Derived("Every key with its value", "all keys", lambda resolved: resolved.all_values()),
    "params_dtype": Derived(
        "The number format of parameters, by the names of `precision`",
        "precision, fp16 and bf16",
        lambda resolved: _PRECISIONS[resolved.precision],
    ),
    "padded_vocab_size": Derived(
        "Rows of the embedding; none where nothing says the size of the vocabulary",
        "vocab_size or vocab_file, make_vocab_size_divisible_by and model_parallel_size",
        lambda resolved: resolved.padded_vocab_size,
    ),
    "optimizer_type": Derived("The optimizer's name", "optimizer.type", lambda resolved: resolved.optimizer.name),
    "lr": Derived("The largest learning rate", "optimizer.params.lr", lambda resolved: resolved.optimizer.lr),
    "zero_stage": Derived(
        "ZeRO's stage",
        "zero_optimization.stage and precision",
        lambda resolved: resolved.deepspeed["zero_optimization"]["stage"],
    ),
    "zero_reduce_scatter": _zero_option("reduce_scatter"),
    "zero_contiguous_gradients": _zero_option("contiguous_gradients"),
    "zero_reduce_bucket_size": _zero_option("reduce_bucket_size"),
    "zero_allgather_bucket_size": _zero_option("allgather_bucket_size"),
    "batch_size": Derived(
        "Samples in one forward pass of one rank",
        "train_micro_batch_size_per_gpu, train_batch_size and gradient_accumulation_steps",
        lambda resolved: resolved.batch.micro,
    ),
    "clip_grad": Derived(
        "Largest norm of the gradient",
        "gradient_clipping",
        lambda resolved: resolved[OptimizerSettings].gradient_clipping,
    ),
    "dynamic_loss_scale": Derived(
        "Whether fp16's loss scale adapts",
        "fp16.loss_scale",
        lambda resolved: not resolved.deepspeed.get("fp16", {}).get("loss_scale", 0),
    ),
    "is_pipe_parallel": Derived(
        "Whether there is a pipeline",
        "pipe_parallel_size",
        lambda resolved: resolved[ParallelismSettings].pipe_parallel_size >= 1,
    ),
    "world_size": Derived(
        "Number of ranks", "hostfile, include, exclude, num_nodes and num_gpus", lambda resolved: resolved.world.size
    ),
}
"""By name."""

RUNTIME = (
    "adlr_autoresume_object",
    "comet_experiment",
    "config_files",
    "curriculum_seqlen",
    "tensorboard_writer",
    "tokenizer",
    "user_script",
)
"""What GPT-NeoX keeps among its settings while it runs; in a file it means nothing."""
