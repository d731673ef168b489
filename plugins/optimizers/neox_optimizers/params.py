"""`optimizer.params` of each optimizer; checked before a run is launched, so nothing here imports torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AdamParams(BaseModel):
    """The Adam family."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lr: float = Field(0.001, gt=0, description="Peak learning rate")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay of the running means of gradient and square")
    eps: float = Field(1e-8, gt=0, description="Added to the denominator")
