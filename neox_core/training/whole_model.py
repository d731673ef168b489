"""What is known of a model of which a rank may have a stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch.distributed as dist

from neox_core.model import LanguageModel
from neox_core.parallel import Axis, global_shape, is_copy


class WholeModel(NamedTuple):
    """The model of all stages, the same on every rank.

    Args:
        shapes: global shapes of its parameters by canonical name, in the order of the layers.
        flops_per_token: see `LanguageModel.flops_per_token`.
    """

    shapes: Mapping[str, tuple[int, ...]]
    flops_per_token: float

    @property
    def parameters(self) -> int:
        """Number of distinct parameters."""
        return sum(map(math.prod, self.shapes.values()))

    @classmethod
    def of(cls, model: LanguageModel, pipe: Axis, length: int) -> WholeModel:
        """That of which each stage has a part; every rank has to call it, before ZeRO takes parameters away.

        Args:
            model: this rank's part.
            pipe: the stages.
            length: of a sequence.
        """
        shapes = {name: global_shape(p) for name, p in model.named_parameters() if not is_copy(p)}
        own = cls(shapes, model.flops_per_token(length))
        parts = [own] * pipe.size
        if pipe.group is not None:
            dist.all_gather_object(parts, own, group=pipe.group)
        together = {name: shape for part in parts for name, shape in part.shapes.items()}
        return cls(together, sum(part.flops_per_token for part in parts))
