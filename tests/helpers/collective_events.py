"""What ranks compute and send, in the order in which it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from cut_models import batch, tensor_mesh
from torch.utils._python_dispatch import TorchDispatchMode
from training_models import resolve

from neox_core.model import LanguageModel
from neox_core.parallel import ColumnLinear, TensorParallel, axis


class Products(TorchDispatchMode):
    """Records matrix products with the shape of what they give."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._events = events

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.mm.default:
            self._events.append(f"product {tuple(result.shape)}")
        return result


class Watched:
    """A collective that is under way; the real one."""

    def __init__(self, work: dist.Work, name: str, events: list[str]) -> None:
        self._work, self._name, self._events = work, name, events

    def wait(self) -> None:
        self._events.append(f"waited for {self._name}")
        self._work.wait()


def watched(name: str, collective: Callable[..., Any], events: list[str]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        events.append(name)
        work = collective(*args, **kwargs)
        return work if work is None else Watched(work, name, events)

    return called


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Events of the block."""
    events: list[str] = []
    names = {"sum": (dist, "all_reduce"), "gather": (axis, "_all_gather"), "scatter": (axis, "_reduce_scatter")}
    with Products(events):
        patches = [
            mock.patch.object(owner, attribute, watched(name, getattr(owner, attribute), events))
            for name, (owner, attribute) in names.items()
        ]
        for patch in patches:
            patch.start()
        try:
            yield events
        finally:
            for patch in patches:
                patch.stop()


def of_a_backward_pass(*, sequence: bool) -> list[str]:
    """Of a layer with 8 inputs, and 5 outputs on each rank."""
    mesh = tensor_mesh()
    layer = ColumnLinear(8, 5 * mesh.tensor.size, bias=True, parallel=TensorParallel(mesh.tensor, sequence=sequence))
    out = layer(torch.randn(2, 4, 8, requires_grad=True))
    with recorded() as events:
        out.sum().backward()
    return events


def of_a_forward_pass(**changes: Any) -> Counter[str]:
    """How often ranks communicate in that of a model."""
    mesh = tensor_mesh()
    resolved, plugins = resolve(mesh.topology.size, model_parallel_size=mesh.topology.size, **changes)
    network = LanguageModel(resolved, plugins, mesh).eval()
    with torch.no_grad(), recorded() as events:
        network(batch()[0])
    return Counter(event for event in events if event in {"sum", "gather", "scatter"})
