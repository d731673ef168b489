"""What ranks are asked to do by the tests of copies that several stages of a pipeline hold."""

from __future__ import annotations

import torch
import torch.distributed as dist
from cut_models import mesh_of
from torch import Tensor, nn

from neox_core.config import Topology
from neox_core.parallel import copied_parameter
from neox_core.training.shared_gradients import SharedGradients

SIZE = 1000


def gradient_of(rank: int, name: str) -> Tensor:
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(rank + 100 * len(name)))


def summed(pipe: int, data: int, *, local: bool = False) -> dict[str, Tensor]:
    """The gradients of a parameter of the ends, and of one of all stages of which the first has none; then averaged over replicas."""
    mesh = mesh_of(Topology(pipe=pipe, data=data))
    stage = mesh.pipe.rank
    parameters = {"all": copied_parameter(nn.Parameter(torch.zeros(SIZE)), range(pipe), stage)}
    if stage in {0, pipe - 1}:
        parameters["ends"] = copied_parameter(nn.Parameter(torch.zeros(SIZE)), (0, pipe - 1), stage)
    for name, parameter in parameters.items():
        parameter.grad = None if name == "all" and stage == 0 else gradient_of(dist.get_rank(), name)
    SharedGradients(mesh, parameters.values()).sum(local=local)
    found = {}
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        found[name] = parameter.grad if local else mesh.replicas.sum(parameter.grad.clone()) / mesh.replicas.size
    return found


def averaged_in_float16(pipe: int, data: int, value: float) -> set[float]:
    """The gradient of a parameter of all stages, of which each rank has computed this value."""
    mesh = mesh_of(Topology(pipe=pipe, data=data))
    parameter = copied_parameter(nn.Parameter(torch.zeros(SIZE).half()), range(pipe), mesh.pipe.rank)
    parameter.grad = torch.full_like(parameter, value)
    SharedGradients(mesh, [parameter]).sum()
    return {*parameter.grad.tolist()}
