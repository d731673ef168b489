"""A sequence mixer whose weights are cut over two tensor-parallel ranks, beside the same mixer on one: what each rank finds."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.config import Topology
from neox_core.parallel import Axis, Mesh, TensorParallel, put_part, spec_of, sum_partial_gradients
from neox_core.plugins import PluginManager, Switches
from neox_core.testing.distributed import Workers
from neox_core.testing.mixer_bench import Bench, mix

RANKS, TOKENS = 2, 12

Differences = Mapping[str, float]
"""How far something is from what one rank computes, as a share of its largest number."""


@cache
def pair() -> Workers:
    """Two ranks that live as long as the process."""
    workers = Workers(RANKS)
    atexit.register(workers.close)
    return workers


def cut_and_whole(bench: Bench, **changes: Any) -> list[Differences]:
    """Output, gradient of the input and gradients of weights on two ranks against one, by rank."""
    workers = bench.workers(RANKS) if bench.workers is not None else pair()
    return workers.run(differences, bench.plugins.switches, bench.name, {**bench.settings, **changes})


@cache
def _mesh() -> Mesh:
    return Mesh.of(Topology(tensor=dist.get_world_size()))


def differences(switches: Switches, name: str, settings: Mapping[str, Any]) -> Differences:
    """What a rank is asked for; it takes part in the cut mixer, and computes with the whole one too."""
    bench, mesh = Bench(PluginManager(switches), name, dict(settings)), _mesh()
    parallel = TensorParallel(mesh.tensor, sequence=bool(settings.get("sequence_parallel")))
    keys: dict[str, Any] = {"model_parallel_size": mesh.tensor.size}
    cut = bench.mixer(torch.float64, mesh=mesh, **keys)
    sum_partial_gradients(cut, mesh.tensor)
    wanted = _results(bench.mixer(torch.float64, **keys, sequence_parallel=False), bench, lambda x: x)
    found = _results(cut, bench, parallel.own_tokens)
    specs = {name: spec_of(name, parameter, mesh.tensor) for name, parameter in cut.named_parameters()}
    joined = {
        name: parallel.all_tokens(values) if name not in specs else gather_whole(specs[name], values, mesh.tensor)
        for name, values in found.items()
    }
    return {
        name: float((joined[name] - values).abs().max() / values.abs().max().clamp(min=1e-9))
        for name, values in wanted.items()
    }


def gather_whole(spec: Any, values: Tensor, axis: Axis) -> Tensor:
    """The global tensor, of which each rank has the part that its spec says."""
    parts: list[Any] = [None] * axis.size
    dist.all_gather_object(parts, (spec, values.detach().clone()), group=axis.group)
    whole = values.new_full(spec.global_shape, torch.nan)
    for part_spec, part in parts:
        put_part(whole, part, part_spec)
    return whole


def _results(mixer: Any, bench: Bench, own: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Of a training pass over two rows of several documents, in which units are dropped where the settings say so."""
    mixer.train()
    torch.manual_seed(1)
    x = own(bench.inputs(2, TOKENS, torch.float64)).requires_grad_()
    documents = (torch.arange(TOKENS) >= 5).long().expand(2, -1) if bench.keeps_documents else None
    out = mix(mixer, x, torch.arange(TOKENS)[None], documents)
    out.square().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    gradients = {name: p.grad for name, p in mixer.named_parameters() if p.grad is not None}
    return {"the output": out.detach(), "the input's gradient": x.grad, **gradients}
