"""Ranks that stay alive between tests: importing torch and DeepSpeed costs seconds, calling a function on two ranks does not.

They are forked from a process that has imported most of what they need, and have its environment, not that of a later moment.

with Workers(2) as workers:
    assert workers.run("my_helpers:sum_of_ranks", 3) == [6, 6]
"""

from __future__ import annotations

import multiprocessing
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, Self

from torch._C._distributed_c10d import TCPStore

from neox_core.testing.rank import Failure, serve

GRACE = 5.0
"""Seconds that the other ranks have to answer once one has failed: they may be waiting for it forever."""

PRELOADED = ["torch._dynamo", "neox_core.training.engine", "neox_core.testing.rank"]
"""What ranks begin with, imported once for all of them. Not DeepSpeed, which looks for an accelerator: no GPU survives a fork."""


class WorkerError(Exception):
    """A rank raised, died or did not answer in time; the text names it, with its traceback where there is one."""


@dataclass(frozen=True, slots=True)
class _Worker:
    process: ForkServerProcess
    connection: Connection


class Workers:
    """Processes on this machine that are the ranks of one gloo group; started at the first use, and ended with the block.

    Args:
        world_size: number of ranks.
        limit: seconds that one call of `run` may take.
        start_limit: seconds that the ranks may take to import everything and to meet.
    """

    def __init__(self, world_size: int, *, limit: float = 60.0, start_limit: float = 120.0) -> None:
        self.world_size = world_size
        self._limit, self._start_limit = limit, start_limit
        self._workers: list[_Worker] = []
        self._store: TCPStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a function on every rank at once; gives its results by rank.

        Args:
            function: "module:attribute", or a function of an importable module.
            args: its arguments, the same on every rank; they and the results are pickled.
            kwargs: likewise.

        Raises:
            WorkerError: a rank raised, died, or took longer than `limit`. Where a rank cannot go on, all are killed, and the next
                call starts new ones.
        """
        task = pickle.dumps((function, args, kwargs))
        if not all(worker.process.is_alive() for worker in self._workers):
            self._kill()
        if not self._workers:
            self._start()
        for worker in self._workers:
            worker.connection.send_bytes(task)
        return self._answers(self._limit)

    def close(self) -> None:
        """End the ranks in order: each destroys its process group."""
        for worker in self._workers:
            if worker.process.is_alive():
                worker.connection.send_bytes(b"")
        for worker in self._workers:
            worker.process.join(GRACE)
        self._kill()

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        for rank in range(self.world_size):
            ours, theirs = context.Pipe()
            arguments = (theirs, self._store.port, rank, self.world_size)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours))
        self._answers(self._start_limit)

    def _answers(self, limit: float) -> list[Any]:
        deadline = time.monotonic() + limit
        answers: dict[int, Any] = {}
        failures: dict[int, str] = {}
        waiting: dict[Any, int] = {worker.connection: rank for rank, worker in enumerate(self._workers)}
        while waiting and (ready := wait(list(waiting), max(0.0, deadline - time.monotonic()))):
            for connection in ready:
                rank = waiting.pop(connection)
                answers[rank] = self._answer(rank)
                if isinstance(answers[rank], Failure):
                    failures[rank] = answers[rank].text
                    deadline = min(deadline, time.monotonic() + GRACE)
        if waiting and not failures:
            failures = dict.fromkeys(waiting.values(), f"did not answer within {limit:g} s")
        if waiting or not all(worker.process.is_alive() for worker in self._workers):
            self._kill()
        if failures:
            raise WorkerError("\n".join(f"rank {rank} {text}" for rank, text in sorted(failures.items())))
        return [answers[rank] for rank in range(self.world_size)]

    def _answer(self, rank: int) -> Any:
        try:
            return pickle.loads(self._workers[rank].connection.recv_bytes())  # noqa: S301  of our own process
        except (EOFError, ConnectionError):
            process = self._workers[rank].process
            process.join(GRACE)
            return Failure(f"died with exit code {process.exitcode}")

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self._workers, self._store = [], None
