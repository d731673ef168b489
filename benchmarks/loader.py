"""What loading costs beside a training step of the quickstart model, and whether memory grows with the batches read.

Steps with batches from the loader take turns with steps on one batch that is in memory already; the ratio of their medians is what
loading costs. The CPU time of reading a batch, without threads, and that of the digest for the ledger are measured by themselves.
Memory is what the process has itself, without what is mapped from files, after so many batches.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from record import write_result

from neox_core.config import NeoXArgs, Resolved, World
from neox_core.data.corpora import load_corpus
from neox_core.data.samples.building import Builder
from neox_core.model import Batch
from neox_core.plugins import PluginManager
from neox_core.testing.processes import solo_process_group
from neox_core.training.batches import Batches
from neox_core.training.datasets import open_datasets
from neox_core.training.engine import Engine
from neox_core.training.ledger import BatchDigest

STEPS = 60
READS = 10_000
SETTLED = 1_000
FIELDS = ("labels", "loss_mask")


def quickstart(directory: Path) -> Resolved:
    """The quickstart's settings, with its data in a directory."""
    from neox_core.data.preparing.embedded import prepare

    prepared = prepare(load_corpus("stdlib"), directory)
    preset = Path(__file__).parents[1] / "configs" / "quickstart.yml"
    args = NeoXArgs.from_ymls([preset], plugins=PluginManager())
    for key, value in {
        "train_data_paths": [str(prepared.prefix("train"))],
        "valid_data_paths": [str(prepared.prefix("valid"))],
        "vocab_file": str(prepared.tokenizer_file),
    }.items():
        args.update_value(key, value)
    return args.resolve(World.local(), prepared.vocab_size)


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def steps(resolved: Resolved, batches: Batches) -> dict[str, float]:
    """Seconds of a step with the loader, and on a batch that is there."""
    plugins = PluginManager()
    engine = Engine(resolved, plugins, plugins.make("objective", "normal", resolved))
    loaded: Iterator[Batch] = iter(batches)
    kept = itertools.repeat(next(loaded))
    turns: dict[str, list[float]] = {"loaded": [], "kept": []}
    for step in range(STEPS + 3):
        for name, source in (("loaded", loaded), ("kept", kept)):
            seconds = seconds_of(partial(engine.train_step, source, step=step, learning_rate=1e-3))
            if step >= 3:
                turns[name].append(seconds)
    medians = {name: statistics.median(found) for name, found in turns.items()}
    overhead = statistics.median(a - b for a, b in zip(turns["loaded"], turns["kept"], strict=True))
    return {"step_seconds": medians["kept"], "loaded_step_seconds": medians["loaded"], "overhead_seconds": overhead}


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def own_memory() -> int:
    """Bytes of memory that no file backs."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["RssAnon"].split()[0]) * 1024


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as place, solo_process_group():
        resolved = quickstart(Path(place))
        train = open_datasets(resolved, Builder()).train
        assert train is not None
        figures: dict[str, float] = steps(resolved, Batches(train, resolved, 0, FIELDS, None))

        args = NeoXArgs.from_dict({**resolved.values, "num_workers": 0}, plugins=PluginManager())
        batches = iter(Batches(train, args.resolve(World.local(), resolved.vocabulary), 0, FIELDS, None))
        batch = next(batches)
        figures["read_cpu_seconds"] = cpu_seconds(lambda: next(batches), SETTLED)
        figures["ledger_cpu_seconds"] = cpu_seconds(lambda: BatchDigest().add(batch), SETTLED)
        settled = own_memory()
        for _ in range(READS):
            next(batches)
        figures |= {"bytes_after_1000": settled, "bytes_after_11000": own_memory()}
    spent = figures["read_cpu_seconds"] + figures["ledger_cpu_seconds"]
    figures["share_of_a_step"] = spent / figures["step_seconds"]
    for name, value in figures.items():
        print(f"{name:22} {value:.6g}")
    write_result("loader", figures)


if __name__ == "__main__":
    main()
