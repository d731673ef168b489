"""How a rank meets the others, watches them, and has a process group with them, until it takes its leave."""

from __future__ import annotations

import contextlib
import gc
import re
import time
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from neox_core.config import CheckpointSettings, DataSettings, Resolved, RunnerSettings
from neox_core.config.groups import OnlineSettings
from neox_core.errors import UserError, shortened
from neox_core.launch import (
    FailedElsewhere,
    Meeting,
    Patience,
    Rendezvous,
    Watch,
    allow_open_files,
    go_to_rank_0,
    receive_ranks,
)
from neox_core.parallel.kept import forget

COLLECTIVE = timedelta(minutes=30)
"""How long ranks wait for each other when all have what they need."""

NEVER = timedelta(days=365)
"""The same where nobody is to be given up."""

FAREWELL = 2.0
"""Seconds for which rank 0 keeps the store up where some have not left it yet."""

NEWS = 5.0
"""Seconds in which a rank that has lost contact learns who failed."""

FILES, FILES_OF_RANK = 1024, 8
"""Open files that a rank may need by itself, and for each other rank: for the watch, the store, and groups of gloo and NCCL."""

MESSAGE = 400
"""Characters of an error that other ranks are told."""


@contextlib.contextmanager
def rendezvous(place: Rendezvous, run: str, patience: Patience | None = None) -> Iterator[tuple[Store, Watch]]:
    """Meet the other ranks: a store that they share, and the watch that they keep.

    Rank 0 holds the store, and leaves it last, so that each can still read why they part.

    Args:
        place: of this rank.
        run: what tells this run from any other, the same on each rank.
        patience: how long they wait for each other.

    Raises:
        UserError: they have not all come in time, there is no way to rank 0, or one of them does not belong here.
    """
    patience = patience or Patience()
    allow_open_files(FILES + FILES_OF_RANK * place.world_size)
    meeting = (go_to_rank_0 if place.rank else receive_ranks)(place, run, patience)
    store = _store(place, meeting, timedelta(seconds=patience.limit))
    try:
        with Watch(meeting) as watch:
            yield store, watch
    finally:
        with contextlib.suppress(RuntimeError):  # who is gone already needs no farewell
            _part(store, place)
        meeting.close()


def _part(store: Store, place: Rendezvous) -> None:
    if place.rank:
        store.set(f"left/{place.rank}", "")
        return
    others, deadline = [f"left/{rank}" for rank in range(1, place.world_size)], time.monotonic() + FAREWELL
    while others and not store.check(others) and time.monotonic() < deadline:
        time.sleep(0.02)


def _store(place: Rendezvous, meeting: Meeting, wait: timedelta) -> Store:
    """The store, at a port that rank 0 tells the others."""
    first = place.rank == 0
    port = 0 if first else int(meeting.notes["store_port"])
    try:
        store = TCPStore(place.master_addr, port, is_master=first, timeout=wait, wait_for_workers=False)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"rank {place.rank} cannot reach the store of rank 0 at {place.master_addr}:{port}: {reason}"
        ) from error
    if first:
        meeting.begin({"store_port": store.port})
    return store


@contextlib.contextmanager
def telling(watch: Watch) -> Iterator[None]:
    """Tell the other ranks at once of an error that ends this one.

    Raises:
        FailedElsewhere: this rank has only lost contact with the one that failed, which is named.
    """
    try:
        yield
    except FailedElsewhere:
        raise
    except BaseException as error:
        sentence = lost_contact(error)
        verdict = None if sentence is None else watch.explanation(NEWS)
        if verdict is not None:
            raise FailedElsewhere(verdict.sentence) from error
        said = f"{error}" if isinstance(error, UserError) else sentence or f"{type(error).__name__}: {error}"
        watch.fail(shortened(said, MESSAGE), error.exit_code if isinstance(error, UserError) else 1)
        raise


def lost_contact(error: BaseException) -> str | None:
    """What gloo or NCCL say when a rank is gone, without the place in their sources and their advice; None for any other error."""
    if not (isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))):
        return None
    cause = re.sub(r"^\[[^]]*\] *", "", str(error)).partition("\n")[0].partition(". ")[0]
    return f"lost contact with another rank: {cause}"


def collective_timeout(resolved: Resolved) -> timedelta:
    """How long a rank waits for the others in a collective: longer where one of them may be waiting for its server.

    It is only for what the watch does not see, and so longer than a run may stand still in any case.
    """
    limit = resolved[RunnerSettings].hang_timeout
    longest = timedelta(seconds=4 * limit) if limit else NEVER
    return max(COLLECTIVE, longest) + _waiting_for_server(resolved)


def hang_limit(resolved: Resolved) -> float | None:
    """Seconds that a run may stand still, its start apart; None for ever."""
    limit = resolved[RunnerSettings].hang_timeout
    return limit + _waiting_for_server(resolved).total_seconds() if limit else None


def end_limit(resolved: Resolved) -> float | None:
    """The same at the end of a run, which may wait for copies of checkpoints."""
    limit, settings = hang_limit(resolved), resolved[CheckpointSettings]
    return limit and limit + (settings.remote_wait if settings.s3_path is not None else 0.0)


def _waiting_for_server(resolved: Resolved) -> timedelta:
    online = resolved[DataSettings].dataset_impl == "online"
    return timedelta(seconds=resolved[OnlineSettings].online_dataserver_timeout if online else 0)


@contextlib.contextmanager
def process_group(store: Store, place: Rendezvous, resolved: Resolved) -> Iterator[None]:
    """The default process group, destroyed at the end whatever happens."""
    on_gpu = resolved.world.device == "cuda"
    if on_gpu:
        torch.cuda.set_device(place.local_rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=PrefixStore("training", store),
        rank=place.rank,
        world_size=place.world_size,
        timeout=collective_timeout(resolved),
    )
    try:
        yield
    finally:
        forget()
        gc.collect()  # what still refers to the group must be gone before it is
        dist.destroy_process_group()
