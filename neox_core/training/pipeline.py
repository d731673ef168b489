"""The passes of a step by the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from neox_core.model import Batch, HeadOutput, LanguageModel, LossOutput, Objective
from neox_core.model.block import Carry
from neox_core.parallel import Axis
from neox_core.training.passes import Begin, Record, Share

if TYPE_CHECKING:
    from neox_core.training.deepspeed.pipeline import StageEngine


class StageModule(nn.Module):
    """A stage's part of the model, and on the last stage the objective."""

    def __init__(self, model: LanguageModel, objective: Objective) -> None:
        super().__init__()
        self.model, self._objective = model, objective

    def forward(self, batch: Batch, carry: Carry | None, share: Share = 1.0) -> Carry | tuple[Tensor, LossOutput]:
        """From what the stage before made of a micro-batch to what the next takes; on the last the loss, and the objective's."""
        made = self.reach(batch, carry)
        if not isinstance(made, HeadOutput):
            return made
        output = self._objective.loss(made, batch)
        return output.loss * share + made.aux, output

    def reach(self, batch: Batch, carry: Carry | None) -> Carry | HeadOutput:
        """The same without the objective."""
        if carry is None:
            carry = self.model.begin(batch["tokens"], batch.get("positions"), batch.get("documents"))
        carry = self.model.run(carry)
        return self.model.end(carry) if self.model.stage.is_last else carry


def unused_parameter(module: nn.Module) -> list[dict[str, Any]]:
    """A parameter for a stage where nothing is trained, since DeepSpeed wants something to optimize; as a group of parameters."""
    unused = nn.Parameter(torch.zeros(1, device=next(module.parameters()).device))
    module.register_parameter("unused", unused)
    return [{"params": [unused], "names": ["unused"], "weight_decay": 0.0}]


class PipelinePasses:
    """Each rank has the layers of a stage; micro-batches go through all stages, one forward and one backward pass in turn.

    Args:
        engine: DeepSpeed's, of a `StageModule`.
        pipe: the stages.
    """

    def __init__(self, engine: StageEngine, pipe: Axis) -> None:
        self.engine, self._pipe = engine, pipe

    def train(self, micro_batches: Iterable[tuple[Batch, Share]], begin: Begin, record: Record) -> None:
        """Every stage takes all micro-batches, of which the first needs the tokens and the last what the objective reads."""
        taken = enumerate(micro_batches)

        def forward(carry: Carry | None) -> Carry | Tensor:
            number, (batch, share) = next(taken)
            begin("forward", number)
            made = self.engine(batch, carry, share)
            if not self._pipe.is_last:
                return cast("Carry", made)
            loss, output = made
            record(output, share)
            return cast("Tensor", loss)

        self.engine.train_on(forward, partial(begin, "backward"))

    def evaluate(self, batches: Iterable[Batch], count: int, record: Callable[[Batch, LossOutput], None]) -> None:
        """As many at once as there are stages."""
        taken = iter(batches)

        def forward(carry: Carry | None) -> Any:
            batch = next(taken)
            made = self.engine.module(batch, carry)
            if self._pipe.is_last:
                record(batch, made[1])
            return made

        self.engine.evaluate_on(forward, count)

    def logits(self, batch: Batch) -> Tensor:
        """The last stage computes them, and the others get a copy."""
        found: list[Tensor] = []

        def forward(carry: Carry | None) -> Any:
            made = self.engine.module.stage.reach(batch, carry)
            if isinstance(made, HeadOutput):
                found.append(made.logits().contiguous())
            return made

        self.engine.evaluate_on(forward, 1)
        told: list[Any] = [(found[0].shape, found[0].dtype) if found else None]
        last, device = self._pipe.ranks[-1], self.engine.device
        dist.broadcast_object_list(told, last, group=self._pipe.group, device=device)
        shape, dtype = told[0]
        logits = found[0] if found else torch.empty(shape, dtype=dtype, device=device)
        dist.broadcast(logits, last, group=self._pipe.group)
        return logits
