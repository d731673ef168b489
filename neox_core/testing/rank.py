"""The process behind one rank of `neox_core.testing.distributed.Workers`."""

from __future__ import annotations

import gc
import os
import pickle
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import TCPStore

from neox_core.parallel.kept import forget
from neox_core.plugins import resolve


@dataclass(frozen=True, slots=True)
class Failure:
    """The answer of a rank that has no result: what happened, to follow its name."""

    text: str


def serve(connection: Connection, port: int, rank: int, world_size: int) -> None:
    """Meet the other ranks, then do one task after the other until there are no more."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = TCPStore("127.0.0.1", port, is_master=False)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    connection.send_bytes(pickle.dumps(None))
    while task := _next_task(connection):
        connection.send_bytes(_outcome(task))
        gc.collect()
        gc.freeze()  # what a task imported, and what is kept of its engines, is not looked through after each of the others
    forget()
    gc.unfreeze()
    gc.collect()
    dist.destroy_process_group()
    gc.freeze()  # what is left goes with the process


def _next_task(connection: Connection) -> bytes:
    try:
        return connection.recv_bytes()
    except EOFError:  # whoever started this process has gone
        return b""


def _outcome(task: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(task)  # noqa: S301  of the process that started this one
        return pickle.dumps((resolve(function) if isinstance(function, str) else function)(*args, **kwargs))
    except BaseException:  # noqa: BLE001  whatever it is, it is reported under the rank's name
        return pickle.dumps(Failure(f"raised\n{traceback.format_exc()}"))
