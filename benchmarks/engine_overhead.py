"""What a step of neox's engine costs beside the same step by DeepSpeed called directly; both take turns on the same ranks.

    python benchmarks/engine_overhead.py [--rounds N]

Both have the same model, optimizer, configuration and batches. Called directly, DeepSpeed is given micro-batches, asked for backward
passes and steps, and the loss is read, as its documentation has it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from contenders import median_ratio
from record import write_result

from neox_core.config import NeoXArgs, Resolved, World
from neox_core.config.deepspeed_json import engine_json
from neox_core.model import Batch, LanguageModel, Objective
from neox_core.plugins import PluginManager
from neox_core.testing.distributed import Workers
from neox_core.training.deepspeed.making import import_deepspeed
from neox_core.training.engine import Engine, TrainingModule, make_optimizer
from neox_core.training.parameter_groups import groups_of

SETTINGS: dict[str, Any] = {
    "num_layers": 6,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "seq_length": 256,
    "max_position_embeddings": 256,
    "vocab_size": 8192,
    "pos_emb": "rotary",
    "no_weight_tying": True,
    "train_iters": 1000,
    "train_micro_batch_size_per_gpu": 4,
    "gradient_accumulation_steps": 2,
    "data_path": "none",
    "optimizer": {"type": "adamw", "params": {"lr": 1e-4, "betas": [0.9, 0.95]}},
    "gradient_clipping": 1.0,
}
WAYS: dict[str, dict[str, Any]] = {
    "fp32, ZeRO 0": {},
    "fp32, ZeRO 1": {"zero_optimization": {"stage": 1}},
    "bf16, ZeRO 1": {"precision": "bfloat16", "zero_optimization": {"stage": 1}},
    "bf16, ZeRO 2": {"precision": "bfloat16", "zero_optimization": {"stage": 2}},
}


def direct(resolved: Resolved, plugins: PluginManager, objective: Objective, batch: Batch) -> Callable[[], float]:
    """A step by DeepSpeed alone, which gives the loss of its last micro-batch."""
    model = LanguageModel(resolved, plugins)
    optimizer = make_optimizer(resolved, plugins, groups_of(model, resolved, plugins))
    module = TrainingModule(model, objective)
    deepspeed = import_deepspeed("cpu")
    engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=engine_json(resolved))

    def step() -> float:
        for _ in range(resolved.batch.accumulation):
            loss, _ = engine(batch)
            engine.backward(loss)
            engine.step()
        return float(loss.detach())

    return step


def ours(resolved: Resolved, plugins: PluginManager, objective: Objective, batch: Batch) -> Callable[[], float]:
    """A step of neox's engine."""
    engine = Engine(resolved, plugins, objective)
    batches = iter(lambda: batch, None)
    return lambda: engine.train_step(batches, step=0, learning_rate=1e-4).loss


def measure(way: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step of both, in turn."""
    plugins = PluginManager()
    world = World.local(dist.get_world_size())
    resolved = NeoXArgs.from_dict({**SETTINGS, **way}, plugins=plugins).resolve(world)
    objective: Objective = plugins.make("objective", "normal", resolved)
    random = torch.Generator().manual_seed(dist.get_rank())
    tokens, labels = torch.randint(SETTINGS["vocab_size"], (2, 4, SETTINGS["seq_length"]), generator=random)
    batch = {"tokens": tokens, "labels": labels, "loss_mask": torch.ones_like(labels).float()}
    steps = {
        "deepspeed": direct(resolved, plugins, objective, batch),
        "neox": ours(resolved, plugins, objective, batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in sorted(steps.items(), reverse=bool(number % 2)):
            dist.barrier()
            start = time.perf_counter()
            step()
            if number >= 2:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    figures: dict[str, Any] = {}
    for ranks in (1, 2):
        with Workers(ranks, limit=1200) as workers:
            for name, way in WAYS.items():
                found = workers.run("engine_overhead:measure", way, options.rounds)[0]
                ratio = median_ratio(found["neox"], found["deepspeed"])
                medians = {engine: statistics.median(seconds) for engine, seconds in found.items()}
                figures[f"{name}, {ranks} ranks"] = {"ratio": ratio, "seconds": medians}
                print(f"{name:14} {ranks} ranks  {medians['neox']:.4f} s, {ratio:.3f} x DeepSpeed called directly")
    write_result("engine_overhead", figures)


if __name__ == "__main__":
    main()
