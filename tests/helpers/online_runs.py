"""A server for runs that notes what it is asked, and what a run must make of its answers, in plain Python."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from random import Random
from struct import pack

from plugin_runs import MODEL, VOCABULARY

from neox_core.data.online.answers import answer_message
from neox_core.data.online.groups import Group
from neox_core.data.online.messages import Request
from neox_core.data.online.server import BatchServer

SEQ_LENGTH: int = MODEL["seq_length"]

Sample = tuple[list[int], list[int], float, float]
"""Prefix, completion, reward less the mean of the others of its prefix, and reward."""


def groups_of(split: str, rank: int, batch: int) -> list[Group]:
    """A batch: the same whoever asks, some samples longer than there is room, rewards whose means are exact."""
    random = Random(f"{split} {rank} {batch}")

    def ids(least: int, most: int) -> list[int]:
        return [random.randrange(VOCABULARY) for _ in range(random.randint(least, most))]

    sizes = [random.choice([2, 3]) for _ in range(random.randint(1, 4))]
    return [
        Group(ids(0, 8), [ids(1, 12) for _ in range(size)], [random.randrange(64) / 8 for _ in range(size)])
        for size in sizes
    ]


@dataclass
class Served:
    """A server of such batches: where it listens, and what it was asked, in order."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)

    def batches(self, split: str, rank: int) -> list[int]:
        """The numbers of the batches that a rank asked for."""
        return [request.batch for request in self.requests if (request.split, request.rank) == (split, rank)]

    @property
    def settings(self) -> dict[str, object]:
        """Those of a run that asks it."""
        return {
            "dataset_impl": "online",
            "online_dataserver_ips": "127.0.0.1",
            "online_dataserver_ports": self.port,
            "online_dataserver_timeout": 30,
        }


@contextmanager
def serving(*, fickle: bool = False) -> Iterator[Served]:
    """Serve until the block ends.

    Args:
        fickle: whether who asks for a batch again gets what would have come next.
    """
    served = Served()

    def make_batch(request: Request) -> list[Group]:
        number = len(served.batches(request.split, request.rank)) if fickle else request.batch
        served.requests.append(request)
        return groups_of(request.split, request.rank, number)

    class Forgetful(BatchServer):
        """Keeps no answer."""

        def answer(self, request: Request) -> bytes:
            return answer_message(request, make_batch(request))

    with (Forgetful if fickle else BatchServer)(make_batch, port=0) as server:
        served.port = server.address.port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join(timeout=10)


def samples(rank: int, first: int = 0) -> Iterator[Sample]:
    """The training samples of a rank from a batch on."""
    for batch in count(first):
        yield from samples_of(rank, batch)


def samples_of(rank: int, batch: int) -> Iterator[Sample]:
    """Those of one batch."""
    for group in groups_of("train", rank, batch):
        for i, completion in enumerate(group.completions):
            others = [reward for j, reward in enumerate(group.rewards) if j != i]
            reward = group.rewards[i]
            yield list(group.prefix), list(completion), reward - sum(others) / len(others), reward


def digests(stream: Iterator[Sample], *, steps: int, accumulation: int, micro: int, fields: Iterable[str]) -> list[str]:
    """The sha256 of a rank's micro-batches of each step, as a ledger has it."""
    return [digest([list(islice(stream, micro)) for _ in range(accumulation)], sorted(fields)) for _ in range(steps)]


def digest(micro_batches: list[list[Sample]], fields: list[str]) -> str:
    """That of one step; fields in alphabetical order."""
    found = hashlib.sha256()
    for micro_batch in micro_batches:
        for name in fields:
            found.update(name.encode())
            for sample in micro_batch:
                found.update(_bytes(name, sample))
    return found.hexdigest()


def _bytes(name: str, sample: Sample) -> bytes:
    prefix, completion, reward, raw_reward = sample
    text = (prefix + completion + [0] * SEQ_LENGTH)[: SEQ_LENGTH + 1]
    counts = [False] * len(prefix) + [True] * len(completion) + [False] * SEQ_LENGTH
    counts = counts[: SEQ_LENGTH + 1]
    values = {
        "tokens": ("q", text[:-1]),
        "labels": ("q", [token if counted else 0 for token, counted in zip(text, counts, strict=True)][1:]),
        "loss_mask": ("f", counts[1:]),
        "rewards": ("f", [reward]),
        "raw_rewards": ("f", [raw_reward]),
    }
    code, numbers = values[name]
    return pack(f"<{len(numbers)}{code}", *numbers)


def ledger(run_dir: Path, rank: int) -> dict[int, str]:
    """The sha256 of each step that a rank of a run recorded."""
    lines = (run_dir / "ledger" / f"rank-{rank}.jsonl").read_text().splitlines()
    return {entry["step"]: entry["sha256"] for entry in map(json.loads, lines)}
