"""`optimizer.params`, apart from the optimizer: they are checked before torch is imported."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SignumParams(BaseModel):
    """`optimizer.params`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lr: float = Field(0.001, gt=0, description="Peak learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="Decay of the running mean of the gradient")
