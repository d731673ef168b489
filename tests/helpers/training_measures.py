"""What ranks are asked to do by the tests of measures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from training_models import Bench, Samples, same

from neox_core.parallel import Fragment, ShardSpec
from neox_core.training.measures import Measures
from neox_core.training.noise_scale import NoiseScale

ALL = {"log_param_norm": True, "log_grad_norm": True, "log_grad_pct_zeros": True, "log_optimizer_states": True}
CPU = torch.device("cpu")


def measures_of(bench: Bench) -> Measures:
    return Measures(bench.resolved, [*bench.engine.whole.shapes], bench.engine.device)


def measured(steps: int, **changes: Any) -> list[dict[str, Any]]:
    """Of each step what was measured, and the gradient's norm that the engine reports."""
    bench = Bench(**{"log_interval": 1, **changes})
    measures, found = measures_of(bench), []
    for number in range(1, steps + 1):
        result = bench.engine.train_step(
            bench.batches, step=number - 1, learning_rate=0.01, observe=measures.observer(number)
        )
        numbers = measures.after(number, result.applied, bench.engine.fragments)
        found.append({"numbers": numbers, "norm": result.grad_norm, "noise": measures.noise_scale})
    return found


def by_hand(**changes: Any) -> dict[str, float]:
    """What is to be measured in the first step: autograd's gradients, the weights after the step, Adam's formula for its state."""
    bench = Bench(**changes)
    ids = torch.tensor([Samples()[i]["text"] for i in range(bench.resolved.batch.total)])
    parameters = bench.parameters
    loss = bench.engine.model(ids[:, :-1]).token_losses(ids[:, 1:]).mean()
    gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))
    bench.engine.train_step(bench.batches, step=0, learning_rate=0.01)
    expected = {}
    for name, gradient in gradients.items():
        expected[f"gradient_norms/{name}"] = float(gradient.double().norm())
        expected[f"pct_grad_zeros/{name}"] = float((gradient == 0).double().mean()) * 100
        expected[f"parameter_norms/{name}"] = float(parameters[name].detach().double().norm())
        expected[f"optimizer_state_norms/exp_avg/{name}"] = float(gradient.double().norm()) * (1 - 0.9)
        expected[f"optimizer_state_norms/exp_avg_sq/{name}"] = float(gradient.double().square().norm()) * (1 - 0.95)
    return expected


def watched_and_not(**changes: Any) -> bool:
    """Whether measuring leaves losses, weights and optimizer state as they would be."""
    plain, watched = Bench(**changes), Bench(**ALL, log_gradient_noise_scale=True, log_interval=1, **changes)
    measures, losses = measures_of(watched), []
    for number in range(1, 7):
        result = watched.engine.train_step(
            watched.batches, step=number - 1, learning_rate=0.01 / number, observe=measures.observer(number)
        )
        measures.after(number, result.applied, watched.engine.fragments)
        losses.append(result.loss)
    expected = [step.loss for step in plain.train(6)]
    return losses == expected and same(plain.state(), watched.state())


def of_a_bad_step(**changes: Any) -> list[dict[str, Any]]:
    """Two steps measured, of which the first has a gradient that is not a number."""
    bench = Bench(log_interval=1, **changes)
    measures, found = measures_of(bench), []
    for number in (1, 2):
        weight = bench.parameters["norm.weight"]
        hook = weight.register_hook(lambda gradient: gradient * float("nan")) if number == 1 else None
        result = bench.engine.train_step(
            bench.batches, step=number - 1, learning_rate=0.01, observe=measures.observer(number)
        )
        if hook is not None:
            hook.remove()
        found.append(measures.after(number, result.applied, bench.engine.fragments))
    return found


def noise_of_a_model(steps: int, **changes: Any) -> float | None:
    """The noise scale of a model that stands still."""
    bench = Bench(log_gradient_noise_scale=True, **changes)
    measures = measures_of(bench)
    for number in range(1, steps + 1):
        result = bench.engine.train_step(
            bench.batches, step=number - 1, learning_rate=0.0, observe=measures.observer(number)
        )
        measures.after(number, result.applied, bench.engine.fragments)
    return measures.noise_scale


def noise_by_hand(samples: int, **changes: Any) -> float:
    """The same from the gradients of single samples: the trace of their covariance over the squared norm of their mean."""
    bench = Bench(**changes)
    parameters = list(bench.parameters.values())
    gradients = []
    for number in range(samples):
        ids = torch.tensor(Samples()[number]["text"])[None]
        loss = bench.engine.model(ids[:, :-1]).token_losses(ids[:, 1:]).mean()
        gradients.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)]))
    found = torch.stack(gradients).double()
    trace = float(found.var(0).sum())
    return trace / (float(found.mean(0).square().sum()) - trace / samples)


def noise_of_a_law(
    steps: int, *, batch: int, batches: int, noise: float, seed: int, size: int = 400, offload: bool = False
) -> float | None:
    """Gradients of samples with a given mean and covariance, dealt out over the ranks; what is found of their noise scale.

    Variances of the elements differ by orders of magnitude. `noise` is tr(covariance) / |mean|^2.
    """
    random = torch.Generator().manual_seed(seed)
    mean = torch.randn(size, generator=random)
    variances = torch.logspace(-3, 0, size)
    variances *= noise * mean.square().sum() / variances.sum()
    scale = NoiseScale(batch, batches, CPU, CPU if offload else None)
    ranks, rank = dist.get_world_size(), dist.get_rank()
    own = slice(size * rank // ranks, size * (rank + 1) // ranks)
    for _ in range(steps):
        gradient = mean + (variances / batch).sqrt() * torch.randn(size, generator=random)
        for fragment in cut(gradient[own]):
            scale.add(fragment)
        scale.end_step()
    return scale.value


def noises_of_a_law(steps: int, seeds: int, **law: Any) -> list[float | None]:
    """The same for several seeds."""
    return [noise_of_a_law(steps, seed=seed, **law) for seed in range(seeds)]


def cut(values: torch.Tensor, parts: int = 3) -> Iterator[Fragment]:
    """A tensor as several fragments."""
    spec, start = ShardSpec.complete("weight", tuple(values.shape)), 0
    for part in values.tensor_split(parts):
        yield Fragment(spec, "gradient", (start, start + len(part)), part)
        start += len(part)
