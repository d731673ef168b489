"""Llama 3 with 8 billion parameters: its model, its trainer, and its pre-training on computed samples."""

from __future__ import annotations

from typing import Any

from neox_core import Config, Partial
from neox_recipes.data import MockDataModule
from neox_recipes.logs import default_log, default_resume
from neox_recipes.models import Llama3Config8B, LlamaModel
from neox_recipes.optimizers import adam_with_cosine_annealing
from neox_recipes.part import given
from neox_recipes.pretraining import pretrain
from neox_recipes.trainer import Trainer


def model() -> Config[LlamaModel]:
    """The model."""
    return Config(LlamaModel, config=Config(Llama3Config8B))


def trainer(
    *,
    tensor_parallelism: int = 1,
    pipeline_parallelism: int = 1,
    pipeline_parallelism_type: None = None,
    virtual_pipeline_parallelism: None = None,
    context_parallelism: int = 1,
    sequence_parallelism: bool = False,
    num_nodes: int = 1,
    num_gpus_per_node: int = 8,
    max_steps: int = 1_168_251,
) -> Config[Trainer]:
    """How the run is cut over machines, and how long it is; see `Trainer` for the arguments."""
    return Config(
        Trainer,
        tensor_parallelism=tensor_parallelism,
        pipeline_parallelism=pipeline_parallelism,
        context_parallelism=context_parallelism,
        sequence_parallelism=sequence_parallelism,
        num_nodes=num_nodes,
        num_gpus_per_node=num_gpus_per_node,
        max_steps=max_steps,
        **given(
            pipeline_parallelism_type=pipeline_parallelism_type,
            virtual_pipeline_parallelism=virtual_pipeline_parallelism,
        ),
    )


def pretrain_recipe(
    *,
    name: str = "llama3_8b",
    dir: str | None = None,
    ckpt_dir: str | None = None,
    num_nodes: int = 1,
    num_gpus_per_node: int = 8,
) -> Partial[Any]:
    """Pre-training.

    Args:
        name: the run's name.
        dir: where each run gets its own directory; None: under `runs`.
        ckpt_dir: where the checkpoints of all runs are, each under its name; None: no checkpoints.
        num_nodes: machines.
        num_gpus_per_node: ranks on each.
    """
    return Partial(
        pretrain,
        model=model(),
        trainer=trainer(num_nodes=num_nodes, num_gpus_per_node=num_gpus_per_node),
        data=Config(MockDataModule, seq_length=8192, global_batch_size=512, micro_batch_size=1),
        log=default_log(ckpt_dir=ckpt_dir, name=name, dir=dir),
        optim=adam_with_cosine_annealing(max_lr=3e-4),
        resume=default_resume(),
    )
