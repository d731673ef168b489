"""How a run is cut over machines, and how long it is, in NeMo's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from neox_core.errors import UserError
from neox_recipes.part import Meaning, Part

PRECISIONS = {"32": "fp32", "16-mixed": "fp16", "bf16-mixed": "bfloat16"}


@dataclass(frozen=True, kw_only=True)
class Trainer(Part):
    """Machines, parallelism, steps and evaluation.

    Args:
        accelerator: what computes; None: the GPUs where there are some.
        num_nodes: machines.
        num_gpus_per_node: ranks on each machine, also where they compute on CPUs.
        tensor_parallelism: ranks over which each layer is cut.
        pipeline_parallelism: stages of layers.
        pipeline_parallelism_type: number format between stages, which is that of the model; None.
        virtual_pipeline_parallelism: pieces of each stage; None: each stage is one piece, and nothing else can be had yet.
        context_parallelism: ranks over which the tokens of a sample are cut.
        sequence_parallelism: whether norms and dropout are cut by tokens over the tensor-parallel ranks.
        max_steps: optimizer steps.
        val_check_interval: steps between evaluations.
        limit_val_batches: batches of an evaluation.
        log_every_n_steps: steps between lasting lines of the log.
        precision: number format of parameters and activations.
    """

    accelerator: Literal["cpu", "gpu"] | None = None
    num_nodes: int = 1
    num_gpus_per_node: int = 8
    tensor_parallelism: int = 1
    pipeline_parallelism: int = 1
    pipeline_parallelism_type: None = None
    virtual_pipeline_parallelism: None = None
    context_parallelism: int = 1
    sequence_parallelism: bool = False
    max_steps: int = 1_168_251
    val_check_interval: int = 2000
    limit_val_batches: int = 32
    log_every_n_steps: int = 10
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "bf16-mixed"

    meanings: ClassVar[Mapping[str, Meaning]] = {
        "accelerator": Meaning(
            ("device",),
            lambda trainer: trainer.accelerator and ("cuda" if trainer.accelerator == "gpu" else "cpu"),
            "`cuda` or `cpu`",
        ),
        "num_nodes": Meaning(("num_nodes",), words="with the hosts of `hostfile`"),
        "num_gpus_per_node": Meaning(("num_gpus",)),
        "tensor_parallelism": Meaning(("model_parallel_size",)),
        "pipeline_parallelism": Meaning(
            ("pipe_parallel_size",),
            lambda trainer: trainer.pipeline_parallelism if trainer.pipeline_parallelism > 1 else None,
            "one stage is no pipeline",
        ),
        "pipeline_parallelism_type": Meaning(words="the stages exchange the model's number format"),
        "virtual_pipeline_parallelism": Meaning(words="stages are not cut further"),
        "context_parallelism": Meaning(("context_parallel_size",)),
        "sequence_parallelism": Meaning(("sequence_parallel",)),
        "max_steps": Meaning(("train_iters",)),
        "val_check_interval": Meaning(("eval_interval",)),
        "limit_val_batches": Meaning(("eval_iters",)),
        "log_every_n_steps": Meaning(("log_interval",)),
        "precision": Meaning(
            ("precision",), lambda trainer: PRECISIONS[trainer.precision], "`fp32`, `fp16` or `bfloat16`"
        ),
    }

    def __post_init__(self) -> None:
        for name in ("pipeline_parallelism_type", "virtual_pipeline_parallelism"):
            if getattr(self, name) is not None:
                raise UserError(
                    f"{name}: {getattr(self, name)!r} cannot be had, {self.meanings[name].words}; write null"
                )
