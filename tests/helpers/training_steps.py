"""What ranks are asked to do by the tests of the engine; each makes an engine of its own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from training_models import Bench, Samples, same

from neox_core.checkpoint import Reader
from neox_core.errors import UserError
from neox_core.parallel import ShardSpec
from neox_core.training.batches import Batches


def curve(steps: int, **changes: Any) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step."""
    results = Bench(**changes).train(steps)
    assert all(result.applied for result in results)
    return [(result.loss, result.grad_norm) for result in results]


def shared_memory() -> tuple[object, str, dict[str, bool]]:
    """What DeepSpeed has for collectives in shared memory, its name for it, and the operators that it has asked the compiler about."""
    Bench()
    import deepspeed

    builder = deepspeed.accelerator.get_accelerator().create_op_builder("ShareMemCommBuilder")
    return deepspeed.comm.comm.cdb.shm_comm_op, builder.NAME, deepspeed.ops.__compatible_ops__


def clipped(clipping: float, scale: float = 1.0, **changes: Any) -> tuple[float, float]:
    """The norm that the first step reports, and that of the gradient which its update used, from Adam's first mean."""
    bench = Bench(gradient_clipping=clipping, **changes)
    for parameter in bench.parameters.values():
        parameter.register_hook(lambda gradient: gradient * scale)
    reported = bench.step().grad_norm
    total = torch.zeros((), dtype=torch.float64)
    for fragment in bench.engine.fragments():
        if fragment.role == "exp_avg":
            total += (fragment.tensor.double() / 0.1).square().sum()
    dist.all_reduce(total)
    return reported, math.sqrt(total)


def skipped(value: float, *, bad_rank: int, bad_micro_batch: int = 0, **changes: Any) -> dict[str, Any]:
    """Two good steps, one with a gradient that is `value` on one rank, and two good ones; then the same without the bad one."""
    bench, other = Bench(**changes), Bench(**changes)
    bench.train(2)
    before = bench.state()
    passes = 0

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal passes
        passes += 1
        # Micro-batches are computed again to see where it begins.
        bad = dist.get_rank() == bad_rank and (passes - 1) % bench.engine.accumulation == bad_micro_batch
        return torch.full_like(gradient, value) if bad else gradient

    hook = bench.parameters["layers.1.mlp.up.bias"].register_hook(poison)
    result = bench.step()
    hook.remove()
    untouched = same(before, bench.state())
    after = [(step.applied, step.loss) for step in bench.train(2)]

    other.train(2)
    other.go_to(3)
    expected = [(step.applied, step.loss) for step in other.train(2)]
    return {"result": result, "untouched": untouched, "after": after, "expected": expected}


def moved(rate: float, **changes: Any) -> float:
    """How far the first step of Adam moves the weights at most."""
    bench = Bench(weight_decay=0.0, **changes)
    before = bench.state()
    bench.engine.train_step(bench.batches, step=0, learning_rate=rate)
    after = bench.state()
    return max(float((after[name] - before[name]).abs().max()) for name in bench.parameters)


def evaluated_in_between(**changes: Any) -> dict[str, Any]:
    """Train with and without evaluations between the steps, with dropout."""
    quiet, disturbed = Bench(**changes), Bench(**changes)
    losses, passes = [], []
    for _ in range(3):
        expected = quiet.step().loss
        disturbed_loss = disturbed.step().loss
        losses.append((expected, disturbed_loss))
        random, state = torch.get_rng_state(), disturbed.state()
        held_out = Batches(Samples(64), disturbed.resolved, dist.get_rank(), ("labels", "loss_mask"), None)
        twice = [disturbed.engine.evaluate(held_out.seek(0), 2)["loss"] for _ in range(2)]
        clean = torch.equal(random, torch.get_rng_state()) and same(state, disturbed.state())
        clean = clean and all(parameter.grad is None for parameter in disturbed.parameters.values())
        passes.append((*twice, clean))
    return {"losses": losses, "passes": passes}


def used(directory: Path, **changes: Any) -> dict[str, Any]:
    """Three steps, an evaluation, and a checkpoint, which an engine that has taken no step begins with and evaluates too.

    The last evaluation is of the weights that were trained.
    """
    bench, other = Bench(**changes), Bench(**changes)

    def loss(bench: Bench) -> float:
        held_out = Batches(Samples(64), bench.resolved, dist.get_rank(), ("labels", "loss_mask"), None)
        return bench.engine.evaluate(held_out.seek(0), 2)["loss"]

    bench.train(3)
    before, losses = bench.state(), [loss(bench)]
    untouched = same(before, bench.state())
    path = bench.save(directory)
    reader = Reader(path)
    other.engine.update_from_checkpoint(reader, ())
    losses.append(loss(other))
    saved = {
        role: {
            name: reader.read(ShardSpec.complete(name, shape), role, (0, math.prod(shape)))
            for name, shape in bench.shapes().items()
        }
        for role in ("weight", "trained", "z")
    }
    other.engine.load_weights({name: saved["trained"][name].view(shape) for name, shape in other.shapes().items()})
    losses.append(loss(other))
    return {"untouched": untouched, "losses": losses, "saved": saved}


def save_and_go_on(directory: Path, **changes: Any) -> dict[str, Any]:
    """Two steps, a checkpoint, three more steps."""
    bench = Bench(**changes)
    bench.train(2)
    path = bench.save(directory)
    reader = Reader(path)
    roles = {(name, tuple(sorted(reader.roles(name)))) for name in reader.names}
    return {"path": path, "losses": [step.loss for step in bench.train(3)], "roles": roles}


def save_at_the_beginning(directory: Path, **changes: Any) -> Path:
    """A checkpoint of the first weights."""
    return Bench(**changes).save(directory)


def load_and_go_on(path: Path, **changes: Any) -> dict[str, Any]:
    """An engine that took other steps before, what is loaded into it, and three more steps."""
    bench = Bench(**changes)
    bench.go_to(7)
    bench.train(1)
    bench.engine.load_fragments(Reader(path))
    counts = {float(f.tensor) for f in bench.engine.fragments() if f.role == "step"}
    bench.go_to(2)
    return {"counts": counts, "losses": [step.loss for step in bench.train(3)]}


def refusal_to_load(path: Path, **changes: Any) -> str:
    """What an engine says of a checkpoint that it cannot go on from."""
    with pytest.raises(UserError) as caught:
        Bench(**changes).engine.load_fragments(Reader(path))
    return str(caught.value)


def dtypes(**changes: Any) -> dict[str, str]:
    """The number formats of weights that compute, and of everything kept."""
    bench = Bench(**changes)
    bench.train(1)
    found = {fragment.role: str(fragment.tensor.dtype) for fragment in bench.engine.fragments()}
    return found | {"computing": str(bench.parameters["layers.0.mlp.up.weight"].dtype)}


def at_the_beginning(**changes: Any) -> dict[str, torch.Tensor]:
    """The weights that compute before the first step, by name."""
    return {name: parameter.detach() for name, parameter in Bench(**changes).parameters.items()}


def computing(steps: int, **changes: Any) -> dict[str, Any]:
    """After some steps, the number format of each weight that computes, and whether it is its float32 original to the bit."""
    bench = Bench(**changes)
    applied = all(result.applied for result in bench.train(steps))
    originals = [fragment for fragment in bench.engine.fragments() if fragment.role == "weight"]
    exact = {
        piece.name: torch.equal(
            bench.parameters[piece.name].detach().flatten()[slice(*piece.range)].float(), piece.tensor
        )
        for piece in originals
    }
    return {"applied": applied, "dtypes": {n: p.dtype for n, p in bench.parameters.items()}, "exact": exact}


def shards_to_go_on(path: Path, **changes: Any) -> set[str]:
    """The tensor files that this rank reads to go on from a checkpoint."""
    reader = Reader(path)
    Bench(**changes).engine.load_fragments(reader)
    return {*reader._shards}
