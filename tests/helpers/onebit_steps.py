"""What ranks are asked to do by the tests of 1-bit Adam."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from neox_optimizers.onebit_adam import OneBitAdam
from neox_optimizers.params import OneBitAdamParams
from training_models import Bench

from neox_core.checkpoint import Reader

SHAPES = {"matrix": (5, 7), "vector": (3,), "other": (4, 2, 2)}
DECAY = {"matrix": 0.3, "vector": 0.0, "other": 0.3}


def gradient(rank: int, step: int, name: str) -> np.ndarray:
    random = np.random.default_rng([rank, step, list(SHAPES).index(name)])
    return random.standard_normal(SHAPES[name]) + 0.5


def beginning(name: str) -> np.ndarray:
    return np.random.default_rng([99, list(SHAPES).index(name)]).standard_normal(SHAPES[name])


def weights_after(steps: int, rates: list[float], **options: Any) -> dict[str, np.ndarray]:
    """The optimizer alone, in float64, on gradients that each rank makes up."""
    parameters = {name: torch.nn.Parameter(torch.from_numpy(beginning(name))) for name in SHAPES}
    groups = [
        {"params": [parameters[name] for name in names], "names": names, "weight_decay": decay}
        for names, decay in ((["matrix", "other"], 0.3), (["vector"], 0.0))
    ]
    optimizer = OneBitAdam(groups, OneBitAdamParams(**options))
    for step in range(steps):
        for name, parameter in parameters.items():
            own = [gradient(rank, step, name) for rank in range(dist.get_world_size())]
            local = optimizer.gradients_stay_local
            parameter.grad = torch.from_numpy(own[dist.get_rank()] if local else np.mean(own, 0))
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        optimizer.step()
    return {name: parameter.detach().numpy() for name, parameter in parameters.items()}


COLLECTIVES = ("all_reduce", "all_to_all_single", "all_gather", "all_gather_into_tensor", "broadcast", "reduce")


@contextmanager
def bytes_given(counted: list[int]) -> Any:
    """Bytes that this rank hands to collectives, added to the last number of a list."""
    real = {name: getattr(dist, name) for name in COLLECTIVES}

    def counting(name: str) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            tensors = [value for value in (*arguments, *options.values()) if isinstance(value, torch.Tensor)]
            counted[-1] += tensors[-1].nbytes  # the last one is what is sent, the one before it what is received
            return real[name](*arguments, **options)

        return called

    for name in COLLECTIVES:
        setattr(dist, name, counting(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(dist, name, function)


def traffic(steps: int, **changes: Any) -> dict[str, Any]:
    """Bytes that the engine hands to collectives in each step, and the losses."""
    bench, counted, losses = Bench(**changes), [], []
    with bytes_given(counted):
        for _ in range(steps):
            counted.append(0)
            losses.append(bench.step().loss)
    return {"bytes": counted, "losses": losses, "elements": sum(p.numel() for p in bench.parameters.values())}


def save_and_go_on(directory: Path, before: int, after: int, **changes: Any) -> dict[str, Any]:
    bench = Bench(**changes)
    bench.train(before)
    path = bench.save(directory)
    return {"path": path, "losses": [step.loss for step in bench.train(after)]}


def load_and_go_on(path: Path, before: int, after: int, **changes: Any) -> list[float]:
    bench = Bench(**changes)
    bench.engine.load_fragments(Reader(path))
    bench.go_to(before)
    return [step.loss for step in bench.train(after)]
