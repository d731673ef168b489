"""`optimizer.params` of each optimizer; checked before a run is launched, so nothing here imports torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Decay = Annotated[float, Field(ge=0, lt=1)]
"""What is kept of a running mean in each step."""


class AdamParams(BaseModel):
    """The Adam family."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    lr: float = Field(0.001, gt=0, description="Peak learning rate")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Decay of the running means of gradient and square")
    eps: float = Field(1e-8, gt=0, description="Added to the denominator")
