"""The matrix of ways to cut a run and to compute it: its cells, their settings, and which of them are to be refused."""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

STEPS = 5
SIZES = {"seq_length": 16, "train_micro_batch_size_per_gpu": 2, "train_batch_size": 8}


class Cell(NamedTuple):
    """One way to train.

    Args:
        data: number of data-parallel ranks.
        tensor: of tensor-parallel ranks.
        pipe: of stages.
        context: of context-parallel ranks.
        zero: stage of ZeRO.
        bf16: whether it computes in bfloat16.
        sequence: sequence parallelism.
        recompute: activation checkpointing.
        tied: whether the head has the embedding's weights.
        grouped: fewer key/value heads than query heads.
        parallel: attention and MLP side by side.
        other: the second of two mixers.
    """

    data: int = 1
    tensor: int = 1
    pipe: int = 1
    context: int = 1
    zero: int = 0
    bf16: bool = False
    sequence: bool = False
    recompute: bool = False
    tied: bool = False
    grouped: bool = False
    parallel: bool = False
    other: bool = False

    @property
    def ranks(self) -> int:
        """Number of processes."""
        return self.data * self.tensor * self.pipe * self.context

    @property
    def mixer(self) -> str:
        """Those for cut samples and the others are not the same."""
        names = ("ring", "ulysses") if self.context > 1 else ("global", "local")
        return names[self.other]

    @property
    def is_refused(self) -> bool:
        """Whether it is among what the decision on parallelism leaves out: stages of a pipeline with ZeRO 2 and 3."""
        return self.pipe > 1 and self.zero > 1

    def __str__(self) -> str:
        """By this it is chosen: pytest -k."""
        axes = (("dp", self.data), ("tp", self.tensor), ("pp", self.pipe), ("cp", self.context))
        words = [f"{name}{size}" for name, size in axes if size > 1] or ["solo"]
        words += [f"zero{self.zero}", "bf16" if self.bf16 else "fp32", self.mixer]
        switches = ("sequence", "recompute", "tied", "grouped", "parallel")
        return "-".join([*words, *(switch for switch in switches if getattr(self, switch))])


def all_cells() -> list[Cell]:
    """Every cell of up to four processes, refused ones too.

    Without those that are the same as another: bfloat16 at ZeRO 0 is ZeRO 1, and sequence parallelism needs tensor parallelism.
    """
    sizes, switches = [(1, 2)] * 4, [(False, True)] * 7
    cells = itertools.starmap(Cell, itertools.product(*sizes, range(4), *switches))
    return [
        cell
        for cell in cells
        if cell.ranks <= 4 and not (cell.bf16 and cell.zero == 0) and not (cell.sequence and cell.tensor == 1)
    ]


def settings(cell: Cell) -> dict[str, Any]:
    """What the cell trains with on several ranks."""
    return computed(cell) | {
        "model_parallel_size": cell.tensor,
        "pipe_parallel_size": cell.pipe,
        "context_parallel_size": cell.context,
        "zero_optimization": {"stage": cell.zero},
        "sequence_parallel": cell.sequence,
        "checkpoint_activations": cell.recompute,
        "attention_config": [[[cell.mixer], "all"]],
    }


def computed(cell: Cell) -> dict[str, Any]:
    """The part that decides what is computed: what one process is given too."""
    mixer = "global" if cell.context > 1 else cell.mixer
    return {
        **SIZES,
        # A large eps: Adam divides by the gradient's size, which is rounding where that is 0, as of keys' biases.
        "optimizer": {"type": "adamw", "params": {"lr": 0.01, "betas": [0.9, 0.95], "eps": 1e-3}},
        "weight_decay": 0.1,
        "precision": "bfloat16" if cell.bf16 else "fp32",
        "no_weight_tying": not cell.tied,
        "gpt_j_residual": cell.parallel,
        "attention_config": [[[mixer], "all"]],
        "sparsity_config": {"block": 2, "num_local_blocks": 2},
        **further(cell),
    }


def further(cell: Cell) -> dict[str, Any]:
    """What is no axis and differs from cell to cell, drawn by its name."""
    draw = random.Random(str(cell))
    documents = draw.random() < 0.5
    return {
        "num_kv_heads": draw.choice((1, 2)) if cell.grouped else 4,
        "pos_emb": draw.choice(("rotary", "learned", "alibi", "rpe")),
        "activation": draw.choice(("gelu", "swiglu")),
        "norm": draw.choice(("layernorm", "rmsnorm")),
        "hidden_dropout": draw.choice((0.0, 0.1)),
        "gradient_clipping": draw.choice((0.0, 0.3)),
        "reset_attention_mask": documents,
        "reset_position_ids": documents,
    }
