"""Ranks that stay alive between tests: importing torch and DeepSpeed costs seconds, running a function on two ranks does not.

    with Workers(2) as workers:
        assert workers.run("my_helpers:sum_of_ranks", 3) == [6, 6]

In pytest, make one a fixture of scope "session".
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Self

from neox_core.plugins import resolve

GRACE = 5.0
"""Seconds that the other ranks have to answer once one has failed; they may wait for it forever."""


class WorkerError(Exception):
    """A rank raised, died or did not answer in time; the text names it, with its traceback where there is one."""


@dataclass(frozen=True, slots=True)
class _Failure:
    text: str


@dataclass(frozen=True, slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection


class Workers:
    """Processes on this machine that are the ranks of one gloo group; started at the first use.

    Args:
        world_size: number of ranks.
        limit: seconds that one call of `run` may take.
        start_limit: seconds that a rank may take to import everything and to meet the others.
    """

    def __init__(self, world_size: int, *, limit: float = 60.0, start_limit: float = 120.0) -> None:
        self.world_size = world_size
        self._limit, self._start_limit = limit, start_limit
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a function on every rank at once; its results by rank.

        Args:
            function: "module:attribute", or a function that pickles, which one of an importable module does.
            args: its arguments, the same on every rank; they are pickled.
            kwargs: likewise.

        Raises:
            WorkerError: a rank raised (all others then have a moment to end), died, or took longer than `limit`. After the last two
                all ranks are killed, and the next call starts new ones.
        """
        if not all(worker.process.is_alive() for worker in self._workers):
            self._kill()
        if not self._workers:
            self._start()
        for worker in self._workers:
            worker.connection.send((function, args, kwargs))
        return self._answers(self._limit)

    def close(self) -> None:
        """End the ranks in order: each destroys its process group."""
        for worker in self._workers:
            if worker.process.is_alive():
                worker.connection.send(None)
        for worker in self._workers:
            worker.process.join(GRACE)
        self._kill()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        with tempfile.TemporaryDirectory() as meeting_place:
            for rank in range(self.world_size):
                ours, theirs = context.Pipe()
                arguments = (theirs, rank, self.world_size, Path(meeting_place) / "store")
                process = context.Process(target=_serve, args=arguments, daemon=True)
                process.start()
                theirs.close()
                self._workers.append(_Worker(process, ours))
            self._answers(self._start_limit)

    def _answers(self, limit: float) -> list[Any]:
        """One answer of each rank, or the failures of all that failed."""
        deadline, answers, failures = time.monotonic() + limit, dict[int, Any](), dict[int, str]()
        waiting = {worker.connection: rank for rank, worker in enumerate(self._workers)}
        while waiting and (ready := wait(list(waiting), max(0.0, deadline - time.monotonic()))):
            for connection in ready:
                rank = waiting.pop(connection)  # type: ignore[index]
                answer = self._receive(rank)
                if isinstance(answer, _Failure):
                    failures[rank] = answer.text
                    deadline = min(deadline, time.monotonic() + GRACE)
                answers[rank] = answer
        if waiting and not failures:
            failures = {rank: f"did not answer within {limit:g} s" for rank in waiting.values()}
        if waiting or any(not worker.process.is_alive() for worker in self._workers):
            self._kill()
        if failures:
            raise WorkerError("\n".join(f"rank {rank} {text}" for rank, text in sorted(failures.items())))
        return [answers[rank] for rank in range(self.world_size)]

    def _receive(self, rank: int) -> Any:
        try:
            return self._workers[rank].connection.recv()
        except EOFError:
            process = self._workers[rank].process
            process.join(GRACE)
            return _Failure(f"died with exit code {process.exitcode}")

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self._workers = []


def _serve(connection: Connection, rank: int, world_size: int, store: Path) -> None:
    """What a rank does: meet the others, then call functions until there are no more."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    import torch
    import torch.distributed as dist

    from neox_core.training.deepspeed_internals import import_deepspeed

    torch.set_num_threads(1)
    import_deepspeed("cpu")
    dist.init_process_group("gloo", store=dist.FileStore(str(store), world_size), rank=rank, world_size=world_size)
    connection.send(None)
    while (task := _next(connection)) is not None:
        connection.send(_outcome(*task))
        gc.collect()
    dist.destroy_process_group()


def _next(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:  # whoever started us has gone
        return None


def _outcome(function: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return (resolve(function) if isinstance(function, str) else function)(*args, **kwargs)
    except BaseException:  # noqa: BLE001  whatever it is, the rank that raised it is named in the parent
        return _Failure(f"raised\n{traceback.format_exc()}")
