"""Saving and loading checkpoints beside torch's own way and a plain copy of as many bytes; all take turns.

    python benchmarks/checkpoint.py [--gib 1] [--rounds 7] [--directory DIR]

What is saved is a state as Adam has it: weights and two moments in float32, of layers of a model. Everybody's file is on disk when the
time is taken (fsync), and in the page cache when it is read. Pauses of asynchronous saves are of a second save and later ones, whose
memory is there already, and come after what only reads, as in a run they come after training: a host that is still at work on what was
written last leaves memory less to give. Memory is what the process has beyond its tensors, at most.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from contenders import median_ratio
from record import write_result
from torch import Tensor

from neox_core.checkpoint import Manifest, Reader, Snapshots, SoloGroup, load_fragments, save
from neox_core.parallel import Fragment, ShardSpec

ROLES = ("weight", "exp_avg", "exp_avg_sq")
WIDTH = 1024


class State:
    """Tensors of a rank as its engine has them.

    Args:
        size: bytes, about.
    """

    def __init__(self, size: int) -> None:
        layers = max(round(size / (4 * len(ROLES) * 12 * WIDTH**2)), 1)
        shapes = {"query_key_value": (3, 1), "output": (1, 1), "up": (4, 1), "down": (1, 4)}
        self.tensors = {
            (f"layers.{layer}.{name}.weight", role): torch.randn(rows * WIDTH, columns * WIDTH)
            for layer in range(layers)
            for name, (rows, columns) in shapes.items()
            for role in ROLES
        }

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.numel() * tensor.itemsize for tensor in self.tensors.values())

    def fragments(self) -> list[Fragment]:
        """The tensors as they are saved."""
        return [
            Fragment(ShardSpec.complete(name, tuple(tensor.shape)), role, (0, tensor.numel()), tensor.view(-1))
            for (name, role), tensor in self.tensors.items()
        ]

    def dictionary(self) -> dict[str, Tensor]:
        """The tensors as torch saves them."""
        return {f"{role}/{name}": tensor for (name, role), tensor in self.tensors.items()}


def save_ours(state: State, directory: Path, fragments: list[Fragment] | None = None) -> Path:
    """A checkpoint of ours."""
    return save(
        directory,
        iteration=1,
        fragments=state.fragments() if fragments is None else fragments,
        state={},
        files={},
        random_state=None,
        group=SoloGroup(),
    )


def save_torch(state: State, path: Path) -> None:
    """The same by torch, on disk."""
    with path.open("wb") as file:
        torch.save(state.dictionary(), file)
        synced(file)


def copy(source: Path, target: Path) -> None:
    """As many bytes, on disk."""
    with source.open("rb") as given, target.open("wb") as file:
        shutil.copyfileobj(given, file, 2**24)
        synced(file)


def synced(file: Any) -> None:
    """Wait until a file is on disk."""
    file.flush()
    os.fsync(file.fileno())


def load_ours(state: State, path: Path) -> None:
    """Into the tensors that are there, every byte verified."""
    load_fragments(Reader(path), state.fragments())


def load_torch(state: State, path: Path, *, mapped: bool = False) -> None:
    """Likewise, by torch; nothing is verified."""
    loaded = torch.load(path, weights_only=True, mmap=mapped)
    for key, tensor in state.dictionary().items():
        tensor.copy_(loaded[key])


def digest(path: Path) -> None:
    """What sha256 alone costs."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


class Memory:
    """The most memory without a file behind it that this process takes in the block beyond what it had, in bytes."""

    def __enter__(self) -> Memory:
        self._before = self._most = _anonymous()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.002):
            self._most = max(self._most, _anonymous())

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self.bytes = self._most - self._before


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not say how much memory a process has")


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(state: State, directory: Path, rounds: int) -> dict[str, Any]:
    """Seconds of each, and memory of ours."""
    ours, theirs, copied = directory / "ours", directory / "torch.pt", directory / "copy"
    snapshots, memory = Snapshots(), dict[str, int]()
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        shutil.rmtree(ours, ignore_errors=True)
        for file in (theirs, copied):
            file.unlink(missing_ok=True)
        seconds: dict[str, float] = {}
        with Memory() as taken:
            seconds["save"] = timed(lambda: save_ours(state, ours))
        memory["save"] = max(memory.get("save", 0), taken.bytes)
        seconds["torch.save"] = timed(lambda: save_torch(state, theirs))
        seconds["copy"] = timed(lambda: copy(theirs, copied))
        with Memory() as taken:
            seconds["load"] = timed(lambda: load_ours(state, ours / "global_step1"))
        memory["load"] = max(memory.get("load", 0), taken.bytes)
        seconds["torch.load"] = timed(lambda: load_torch(state, theirs))
        seconds["torch.load, mmap"] = timed(lambda: load_torch(state, theirs, mapped=True))
        seconds["sha256"] = timed(lambda: digest(theirs))
        if number:  # with nobody beside it who looks at the memory
            seconds["pause"] = timed(lambda: snapshots.take(state.fragments()))
        else:
            with Memory() as taken:
                seconds["pause"] = timed(lambda: snapshots.take(state.fragments()))
            memory["asynchronous copy"] = taken.bytes
        if number:
            for name, value in seconds.items():
                found.setdefault(name, []).append(value)
        print(f"round {number}: " + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    assert Manifest.read(ours / "global_step1").size >= state.size
    return {"seconds": found, "memory": memory}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="what is saved")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", type=Path, help="on the disk that is meant")
    options = parser.parse_args()
    torch.set_num_threads(1)  # of the process of one rank, beside which there are others
    state = State(round(options.gib * 2**30))
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        found = measure(state, Path(name), options.rounds)
    seconds = found["seconds"]
    rates = {name: state.size / statistics.median(values) / 1e9 for name, values in seconds.items()}
    figures = {
        "bytes": state.size,
        "GB/s": rates,
        "times as fast": {
            "save, as torch.save": median_ratio(seconds["save"], seconds["torch.save"]),
            "save, as a copy": median_ratio(seconds["save"], seconds["copy"]),
            "load, as torch.load": median_ratio(seconds["load"], seconds["torch.load"]),
            "load, as torch.load with a memory map": median_ratio(seconds["load"], seconds["torch.load, mmap"]),
        },
        "pause as a share of a save": 1 / median_ratio(seconds["pause"], seconds["save"]),
        "sha256 as a share of a save": 1 / median_ratio(seconds["sha256"], seconds["save"]),
        "memory beyond the tensors, as a share of them": {
            name: taken / state.size for name, taken in found["memory"].items()
        },
    }
    for name, value in figures.items():
        print(name, value)
    write_result("checkpoint", figures)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
