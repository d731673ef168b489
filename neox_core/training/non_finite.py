"""Where a number that is not finite comes from: the micro-batches of a step are computed again, and every rank looks on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from neox_core.model import LanguageModel, LossOutput
from neox_core.parallel import Mesh

AFTER_ALL = 2**31
"""Places before the loss, at most."""


class Finding(NamedTuple):
    """The first that one rank met; of several the smallest is the first of all.

    Args:
        micro_batch: of the step, from 1; 0: it was there before the first.
        phase: 0 for the forward pass, 1 for the backward pass.
        stage: of the pipeline: how many stages had been passed.
        order: how many places of this stage were looked at before, in this pass.
        rank: which met it.
        what: what is not finite.
    """

    micro_batch: int
    phase: int
    stage: int
    order: int
    rank: int
    what: str

    def __str__(self) -> str:
        where = f" in micro-batch {self.micro_batch}" if self.micro_batch else ""
        return f"{self.what}, on rank {self.rank}{where}"


class Search:
    """Looks at weights, at what layers give and at the gradients of weights, from `begin` on.

    Args:
        model: this rank's part.
        mesh: this rank's place.
    """

    def __init__(self, model: LanguageModel, mesh: Mesh) -> None:
        self._model, self._mesh = model, mesh
        self.finding: Finding | None = None
        self._micro_batch, self._order = {0: 0, 1: 0}, 0

    def begin(self, phase: str, micro_batch: int) -> None:
        """A pass begins; see `Passes.train`."""
        self._micro_batch[int(phase == "backward")] = micro_batch + 1
        self._order = 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While this is on every place is looked at."""
        for name, parameter in self._model.named_parameters():
            self._look(parameter, f"the weight {name}", micro_batch=0)
        hooks = [
            *(
                module.register_forward_hook(self._of_output(name))
                for name, module in self._model.named_modules()
                if name and not isinstance(module, nn.ModuleList)
            ),
            *(
                parameter.register_hook(self._of_gradient(name))  # type: ignore[no-untyped-call]
                for name, parameter in self._model.named_parameters()
                if parameter.requires_grad
            ),
        ]
        try:
            with torch.compiler.set_stance("force_eager"):  # a compiled layer does not call hooks that came after it
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _of_output(self, name: str) -> Callable[..., None]:
        def look(module: nn.Module, given: Any, made: Any) -> None:
            for tensor in _tensors(made):
                self._look(tensor, f"what {name} gives", phase=0)

        return look

    def _of_gradient(self, name: str) -> Callable[[Tensor], None]:
        return lambda gradient: self._look(gradient, f"the gradient of {name}", phase=1)

    def look_at_loss(self, output: LossOutput, share: object) -> None:
        """What the objective gave for a micro-batch; after its forward pass, perhaps also after its backward pass."""
        self._look(output.loss, "the objective's loss", order=AFTER_ALL)

    def _look(
        self, tensor: Tensor, what: str, *, phase: int = 0, micro_batch: int | None = None, order: int | None = None
    ) -> None:
        self._order += 1
        if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
            return
        pipe = self._mesh.pipe
        passed = pipe.size - 1 - pipe.rank if phase else pipe.rank
        batch = self._micro_batch[phase] if micro_batch is None else micro_batch
        found = Finding(batch, phase, passed, order or self._order, self._mesh.rank, what)
        self.finding = found if self.finding is None else min(self.finding, found)

    def first(self) -> Finding | None:
        """The first of all ranks; None where the second time everything is finite. Every rank has to call it."""
        found: list[Finding | None] = [self.finding] * dist.get_world_size()
        dist.all_gather_object(found, self.finding)
        return min((one for one in found if one is not None), default=None)


def _tensors(made: Any) -> Iterator[Tensor]:
    """Those that a module gives."""
    if isinstance(made, Tensor):
        yield made
    elif isinstance(made, tuple | list):
        for part in made:
            yield from _tensors(part)


def described(finding: Finding | None) -> str:
    """What there is to say of a gradient that is not finite."""
    if finding is None:
        return "the gradient is not finite; computed again it is, on all ranks, as when a machine errs"
    return f"the gradient is not finite: it begins with {finding}"
