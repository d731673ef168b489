"""Whether the best learning rate of a narrow model is that of a wide one: loss against rate at four widths, with muP and without.

    python benchmarks/mup_transfer.py [--widths 32,64,128,256] [--steps N] [--rates 10,...,5] [--seeds N]

Needs the data that `neox data prepare stdlib` makes; run it from the repository's root. The models are the quickstart's but for width,
heads and shorter sequences; each is trained with its optimizer and schedule on the same batches. A rate is 2^-N. The result has the
mean loss of the last tenth of the steps, the best rate of each width, and what the narrowest one's best rate costs the others.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import statistics
from pathlib import Path
from typing import Any

import torch
from neox_commands.mup_widths import WITHOUT, at_width, resolved_from
from record import RESULTS, write_result

from neox_core.cli.plots import Plot, Series, svg
from neox_core.config import NeoXArgs, OptimizerSettings, Resolved
from neox_core.model import LanguageModel
from neox_core.plugins import PluginManager, Switches
from neox_core.training.batches import Batches
from neox_core.training.datasets import open_datasets
from neox_core.training.engine import make_optimizer
from neox_core.training.mup import base_shapes_of
from neox_core.training.parameter_groups import groups_of
from neox_core.training.schedule import make_schedule

LENGTH, BATCH, HEAD = 128, 8, 16
DIVERGED = 20.0
"""A loss beyond this is recorded as this."""


def settings(plugins: PluginManager, steps: int) -> NeoXArgs:
    """The quickstart, shorter, with small heads, so that narrow models have some."""
    changes: dict[str, Any] = {
        **WITHOUT,
        "num_attention_heads": 192 // HEAD,
        "rotary_pct": 0.5,
        "num_layers": 3,
        "seq_length": LENGTH,
        "max_position_embeddings": LENGTH,
        "train_iters": steps,
        "train_micro_batch_size_per_gpu": BATCH,
        "warmup": 0.1,
        "min_lr": 0.0,
        "init_method": "small_init",  # of which the standard parametrisation has what suits each width
        "output_layer_init_method": "wang_init",
        "vocab_size": 4096,
        "make_vocab_size_divisible_by": 1,
    }
    return NeoXArgs.from_ymls(["configs/quickstart.yml"], changes, plugins=plugins)


def final_loss(resolved: Resolved, plugins: PluginManager) -> float:
    """Train one model from its beginning; the mean loss of the last tenth of its steps."""
    model = LanguageModel(resolved, plugins)
    objective = plugins.make("objective", "normal", resolved)
    data = open_datasets(resolved).train
    assert data is not None
    batches = Batches(data, resolved, 0, objective.batch_fields, None)
    optimizer = make_optimizer(resolved, plugins, groups_of(model, resolved, plugins))
    schedule, clipping = make_schedule(resolved, plugins), resolved[OptimizerSettings].gradient_clipping
    losses = []
    for step, batch in enumerate(itertools.islice(batches, resolved.train_iters)):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step) * group.get("lr_scale", 1.0)
        optimizer.zero_grad()
        loss = objective.loss(model(batch["tokens"]), batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clipping)
        optimizer.step()
        losses.append(loss.item())
        if not losses[-1] < DIVERGED:
            return DIVERGED
    return statistics.fmean(losses[-max(1, len(losses) // 10) :])


def sweep(options: argparse.Namespace, plugins: PluginManager, *, mup: bool) -> dict[int, list[float]]:
    """Losses of each width at each rate."""
    args = settings(plugins, options.steps)
    base = base_shapes_of(resolved_from(at_width(args, options.widths[0]), plugins), plugins)
    further = {"use_mup": True, "base_shapes": base.to_dict()} if mup else {}
    losses: dict[int, list[float]] = {}
    for width in options.widths:
        for power in options.rates:
            optimizer = {"type": "adamw", "params": {"lr": 2.0**-power, "betas": [0.9, 0.95]}}
            values = {**at_width(args, width), **further, "optimizer": optimizer}
            runs = [resolved_from({**values, "seed": seed + 1}, plugins) for seed in range(options.seeds)]
            loss = statistics.fmean(final_loss(resolved, plugins) for resolved in runs)
            losses.setdefault(width, []).append(loss)
            print(f"{'muP' if mup else 'standard':8}  width {width:4}  rate 2^-{power:<4g} loss {loss:.4f}", flush=True)
    return losses


def report(options: argparse.Namespace, name: str, losses: dict[int, list[float]]) -> dict[str, Any]:
    """Print what came of a sweep, and draw it."""
    rates = [2.0**-power for power in options.rates]
    best = {width: found.index(min(found)) for width, found in losses.items()}
    moved = max(best.values()) - min(best.values())
    at = ", ".join(f"{width}: 2^-{options.rates[place]:g}" for width, place in best.items())
    transferred = best[options.widths[0]]
    lost = {width: found[transferred] - min(found) for width, found in losses.items()}
    print(f"{name}: the best rate by width is {at}, which differ by {moved} points of the grid;")
    print(
        "with that of the narrowest the loss is higher than with their own by",
        ", ".join(f"{width}: {more:.4f}" for width, more in lost.items()),
    )
    lines = [
        Series(f"width {width}", rates, [loss if loss < DIVERGED else math.nan for loss in found])
        for width, found in losses.items()
    ]
    plot = Plot(f"Loss after {options.steps} steps: {name}", "learning rate", "training loss", lines, log_x=True)
    (RESULTS / f"mup_transfer_{name.split(maxsplit=1)[0].lower()}.svg").write_text(svg(plot))
    return {
        "losses": {str(width): found for width, found in losses.items()},
        "best_rate": {str(width): rates[place] for width, place in best.items()},
        "grid_points_between_best_rates": moved,
        "lost_with_the_rate_of_the_narrowest": {str(width): more for width, more in lost.items()},
    }


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def main() -> None:
    """Measure, print, draw and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--widths", type=lambda text: [int(part) for part in text.split(",")], default=[32, 64, 128, 256]
    )
    parser.add_argument("--rates", type=numbers, default=[11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not Path("data/stdlib").exists():
        parser.error("there is no data/stdlib; run `neox data prepare stdlib` first")
    plugins = PluginManager(Switches())
    RESULTS.mkdir(exist_ok=True)
    figures: dict[str, Any] = {
        "steps": options.steps,
        "seeds": options.seeds,
        "rates": [2.0**-power for power in options.rates],
    }
    figures["mup"] = report(options, "muP", sweep(options, plugins, mup=True))
    figures["standard"] = report(options, "standard parametrisation", sweep(options, plugins, mup=False))
    write_result("mup_transfer", figures)


if __name__ == "__main__":
    main()
