"""`optimizer.params` of each optimizer; checked before a run is launched, so nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Decay = Annotated[float, Field(ge=0, lt=1)]
"""What is kept of a running mean in each step."""

Betas = tuple[Decay, Decay]


class Params(BaseModel):
    """What every optimizer takes. How much weights decay is said by the key `weight_decay`, of all optimizers alike."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    lr: float = Field(0.001, gt=0, description="Peak learning rate")


class AdamParams(Params):
    """The Adam family."""

    betas: Betas = Field((0.9, 0.999), description="Decay of the running means of gradient and square")
    eps: float = Field(1e-8, gt=0, description="Added to the denominator")
    adam_w_mode: bool = Field(
        True, description="Decoupled weight decay; false: Adam, whose decay is part of the gradient"
    )


class FusedAdamParams(AdamParams):
    """Adam by the fastest kernels that there are."""

    torch_adam: bool = Field(False, description="torch's kernels, where DeepSpeed's could be had too")


class Adam8bitParams(Params):
    """Adam by bitsandbytes."""

    betas: Betas = Field((0.9, 0.999), description="Decay of the running means of gradient and square")
    eps: float = Field(1e-8, gt=0, description="Added to the denominator")
    min_8bit_size: int = Field(4096, ge=1, description="Parameters of fewer elements have moments in 32 bits")


class SGDParams(Params):
    """Stochastic gradient descent."""

    momentum: Decay = Field(0.0, description="Decay of the running sum of gradients; 0: none is kept")
    dampening: float = Field(0.0, ge=0, le=1, description="Share of a gradient that is kept out of the sum")
    nesterov: bool = Field(False, description="Look ahead by the momentum; needs momentum, and no dampening")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGDParams:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov: true needs a momentum above 0 and a dampening of 0")
        return self


class LionParams(Params):
    """Lion."""

    betas: Betas = Field((0.9, 0.99), description="Decay of the momentum, as it is used and as it is kept")


class LambParams(Params):
    """LAMB."""

    betas: Betas = Field((0.9, 0.999), description="Decay of the running means of gradient and square")
    eps: float = Field(1e-6, gt=0, description="Added to the denominator")


class SM3Params(Params):
    """SM3."""

    momentum: Decay = Field(0.0, description="Decay of the running mean of updates; 0: none is kept")
    beta: Decay = Field(0.0, description="Decay of the squares; 0: they are summed, as in the paper")
    eps: float = Field(1e-30, gt=0, description="Added under the square root")
    decoupled_decay: bool = Field(False, description="Heed weight_decay, which GPT-NeoX's SM3 leaves out")


class MadgradParams(Params):
    """MADGRAD."""

    momentum: Decay = Field(0.9, description="What a weight keeps of itself in each step")
    eps: float = Field(1e-6, gt=0, description="Added to the denominator, and to the rate")


class MuonParams(Params):
    """Muon for the matrices of layers, AdamW for everything else."""

    momentum: Decay = Field(0.95, description="Decay of the running mean of gradients, for matrices")
    nesterov: bool = Field(True, description="Look ahead by the momentum")
    steps: int = Field(5, ge=1, le=20, description="Newton-Schulz iterations")
    scale: Literal["adam", "shape"] = Field(
        "adam",
        description="Size of a matrix's update. adam: about that of AdamW's, 0.2 sqrt(max(rows, columns)), for AdamW's rate; "
        "shape: sqrt(max(1, rows / columns)), for a rate such as 0.02",
    )
    split: bool = Field(True, description="Take queries, keys and values, which are one matrix, apart")
    adam_lr: float | None = Field(None, gt=0, description="Peak rate of everything else; none: lr")
    betas: Betas = Field((0.9, 0.95), description="Of AdamW")
    eps: float = Field(1e-8, gt=0, description="Of AdamW")


class ScheduleFreeParams(Params):
    """Schedule-free AdamW."""

    betas: tuple[Annotated[float, Field(gt=0, lt=1)], Decay] = Field(
        (0.9, 0.999), description="Share of the average where gradients are taken, and decay of the squares"
    )
    eps: float = Field(1e-8, gt=0, description="Added to the denominator")


class OneBitAdamParams(Params):
    """1-bit Adam."""

    betas: Betas = Field((0.9, 0.999), description="Decay of the running means of gradient and square")
    eps: float = Field(1e-8, gt=0, description="Added to the denominator")
    freeze_step: int = Field(
        100_000,
        ge=1,
        description="Steps of Adam before compression, about a fifth of all; at least those of the warm-up",
    )
    bound: float = Field(1.0, gt=0, description="The farthest that an element moves after freeze_step, in rates")
    cuda_aware: bool = Field(False, description="Of no effect: torch.distributed does the sending")
    comm_backend_name: Literal["nccl", "gloo", "mpi", "hccl", "compressed"] | None = Field(
        None, description="Of no effect: torch.distributed does the sending"
    )
