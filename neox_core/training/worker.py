"""One rank of a training run: `python -m neox_core.training.worker HANDOVER`, started by a launcher."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from neox_core.checkpoint import Reader, TorchGroup, restore
from neox_core.config import CheckpointSettings, DataSettings, ModelSettings, Resolved, TrainingSettings
from neox_core.config.groups import OnlineSettings
from neox_core.data.samples.building import Builder
from neox_core.errors import UserError
from neox_core.launch import Rendezvous
from neox_core.model import Objective
from neox_core.model.soft_prompt import SOFT_PROMPT
from neox_core.plugins import PluginManager
from neox_core.training.batches import Batches
from neox_core.training.components import selected_loggers
from neox_core.training.datasets import open_datasets
from neox_core.training.engine import Engine
from neox_core.training.handover import WAIT, Handover, agree, receive
from neox_core.training.ledger import Ledger
from neox_core.training.loop import Training
from neox_core.training.measures import Measures
from neox_core.training.progress import Progress
from neox_core.training.run import Run
from neox_core.training.saving import Saver
from neox_core.training.schedule import make_schedule
from neox_core.training.startup import Startup
from neox_core.training.stopping import StopRequests
from neox_core.training.streams import restore_streams

logger = logging.getLogger("neox")

COLLECTIVE = timedelta(minutes=30)
"""How long ranks wait for each other when all have what they need."""

FAREWELL = timedelta(seconds=2)
"""How long rank 0 keeps the rendezvous up for those that have not left it yet."""


def main(argv: list[str] | None = None) -> int:
    """Run one rank to its end; the exit code is 0, 128 + n after signal n, 2 for what a user can mend, 1 when a rank is gone."""
    arguments = sys.argv[1:] if argv is None else argv
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logger.setLevel(logging.INFO)
    stop = StopRequests()
    try:
        return work(Path(arguments[0]), stop)
    except (UserError, RuntimeError) as error:
        sentence = str(error) if isinstance(error, UserError) else lost_contact(error)
        if sentence is None or os.environ.get("NEOX_TRACEBACK"):
            raise
        sys.stderr.write(f"error: {sentence}\n")
        return error.exit_code if isinstance(error, UserError) else 1


def lost_contact(error: RuntimeError) -> str | None:
    """What gloo says when a rank is gone, without the place in its sources and its advice; None for any other error."""
    if "gloo" not in str(error):
        return None
    cause = re.sub(r"^\[[^]]*\] *", "", str(error)).partition(". ")[0]
    return f"lost contact with another rank: {cause}"


def work(handover_file: Path, stop: StopRequests) -> int:
    """Meet the other ranks, make sure that all are about to do the same, and train."""
    place = Rendezvous.from_environment(os.environ)
    with rendezvous(place) as store:
        handover = receive(store, place, handover_file)
        startup = Startup(handover.begun, handover.launched)
        plugins, resolved = handover.resolve()
        statement = {
            "host": socket.gethostname(),
            "settings": resolved.fingerprint(),
            "plugins": plugins.manifest(),
            "torch": torch.__version__,
        }
        agree(store, place, statement)
        with process_group(store, place, resolved):
            return train(handover, plugins, resolved, place, stop, startup=startup)


@contextlib.contextmanager
def rendezvous(place: Rendezvous, wait: timedelta = WAIT) -> Iterator[Store]:
    """The store in which the ranks meet; rank 0 holds it, and leaves it last, so that each can still read why they part.

    Raises:
        UserError: they have not all come in time, or there is no way to rank 0.
    """
    try:
        store = TCPStore(
            place.master_addr, place.master_port, place.world_size, is_master=place.rank == 0, timeout=wait
        )
    except RuntimeError as error:
        where, reason = f"{place.master_addr}:{place.master_port}", str(error).partition("\n")[0]
        raise UserError(f"master_port: rank {place.rank} cannot meet the others at {where}: {reason}") from error
    try:
        yield store
    finally:
        with contextlib.suppress(RuntimeError):  # who is gone already needs no farewell
            if place.rank == 0:
                store.wait([f"left/{rank}" for rank in range(1, place.world_size)], FAREWELL)
            else:
                store.set(f"left/{place.rank}", "")


def patience(resolved: Resolved) -> timedelta:
    """How long a rank waits for the others: longer where one of them may be waiting for its server."""
    online = resolved[DataSettings].dataset_impl == "online"
    return COLLECTIVE + timedelta(seconds=resolved[OnlineSettings].online_dataserver_timeout if online else 0)


@contextlib.contextmanager
def process_group(store: Store, place: Rendezvous, resolved: Resolved) -> Iterator[None]:
    """The default process group, destroyed at the end whatever happens: gloo may abort an interpreter that exits with one."""
    on_gpu = resolved.world.device == "cuda"
    if on_gpu:
        torch.cuda.set_device(place.local_rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=PrefixStore("training", store),
        rank=place.rank,
        world_size=place.world_size,
        timeout=patience(resolved),
    )
    try:
        yield
    finally:
        gc.collect()  # what still refers to the group must be gone before it is
        dist.destroy_process_group()


def index_builder(place: Rendezvous, resolved: Resolved) -> Builder:
    """One rank makes the indices of samples: one of all where they share a file system, else one on each host."""
    first = place.rank if resolved[DataSettings].use_shared_fs else place.local_rank
    return Builder(builds=first == 0, say=logger.info)


def open_batches(
    resolved: Resolved, objective: Objective, place: Rendezvous, eod_token: int | None
) -> dict[str, Batches]:
    """This rank's batches of "train", and of "validation" and "test" where there is such data."""
    warms = place.local_rank == 0
    rank = resolved.topology.place(place.rank).data
    datasets = open_datasets(resolved, index_builder(place, resolved), rank=rank, warms=warms)
    if datasets.train is None:
        raise UserError("split: it leaves no document for training; give the first part more")
    masked = eod_token if resolved[DataSettings].eod_mask_loss else None
    return {
        name: Batches(dataset, resolved, rank, objective.batch_fields, masked)
        for name, dataset in (("train", datasets.train), ("validation", datasets.valid), ("test", datasets.test))
        if dataset is not None
    }


def train(
    handover: Handover,
    plugins: PluginManager,
    resolved: Resolved,
    place: Rendezvous,
    stop: StopRequests,
    *,
    startup: Startup,
) -> int:
    """Put a run together and carry it out; every rank does the same."""
    rank, run_dir = place.rank, Path(handover.run_dir)
    startup.mark("rendezvous")
    torch.manual_seed(resolved[TrainingSettings].seed)
    objective: Objective = plugins.make("objective", resolved[TrainingSettings].train_impl, resolved)
    batches = open_batches(resolved, objective, place, handover.eod_token)
    startup.mark("data")
    engine = Engine(resolved, plugins, objective, startup.mark)
    loaded = begin_with(engine, Path(handover.initial), resolved, rank) if handover.initial else ()
    if handover.prompt_tokens and SOFT_PROMPT not in loaded:
        engine.begin_prompt(handover.prompt_tokens)
    measures = Measures(resolved, [name for name, _ in engine.model.named_parameters()], engine.device)
    progress = resume(engine, measures, batches, Path(handover.checkpoint)) if handover.checkpoint else Progress()
    for name in selected_loggers(resolved, plugins):
        plugins.register(plugins.make("logger", name, resolved, run_dir), f"logger {name}")
    plugins.register(startup, "start-up times")
    startup.mark("checkpoint and loggers")
    training = Training(
        resolved=resolved,
        plugins=plugins,
        engine=engine,
        schedule=make_schedule(resolved, plugins),
        measures=measures,
        batches=batches,
        ledger=Ledger.of_rank(rank, run_dir, resolved),
        saver=Saver(resolved, plugins, TorchGroup()),
        description=describe(handover, resolved, engine, progress),
        progress=progress,
        stop=stop,
    )
    return carry_out(training)


def carry_out(training: Training) -> int:
    """Run the loop, and tell the plugins how it ended."""
    try:
        signal = training.run()
    except BaseException as error:
        training.notify("neox_train_end", error=error)
        raise
    finally:
        for batches in training.batches.values():
            batches.close()
    code = 128 + signal if signal else 0
    training.notify("neox_train_end", error=SystemExit(code) if code else None)
    return code


def begin_with(engine: Engine, path: Path, resolved: Resolved, rank: int) -> tuple[str, ...]:
    """The first weights from a checkpoint, which need not have a soft prompt; their names, which rank 0 tells too."""
    reader = Reader(path)
    skip = [*resolved[CheckpointSettings].initial_ckpt_skip_keys_with_these_prefixes]
    if engine.model.prompt_length and SOFT_PROMPT not in reader.names:
        skip.append(SOFT_PROMPT)
    report = engine.update_from_checkpoint(reader, skip)
    if rank == 0:
        report.log()
    return report.loaded


def resume(engine: Engine, measures: Measures, batches: Mapping[str, Batches], path: Path) -> Progress:
    """Weights, optimizer state, random states, averages of measures, places of streams and counts from a checkpoint."""
    reader, mesh = Reader(path), engine.mesh
    engine.load_fragments(reader)
    measures.load(reader.state)
    random_state = reader.random_state_at(mesh.topology.place(mesh.rank))
    if random_state is not None:
        restore(random_state)
    restore_streams(batches, reader, mesh.data.rank, mesh.data.size)
    return Progress.from_dict(reader.state)


def describe(handover: Handover, resolved: Resolved, engine: Engine, progress: Progress) -> Run:
    """What hooks are told of the run."""
    return Run(
        name=handover.name,
        directory=Path(handover.run_dir),
        resolved=resolved,
        rank=dist.get_rank(),
        world_size=dist.get_world_size(),
        start_iteration=progress.iteration,
        train_iters=resolved.train_iters,
        parameters=engine.model.num_parameters(),
        flops_per_token=engine.model.flops_per_token(resolved[ModelSettings].seq_length),
        resumed_from=Path(handover.checkpoint) if handover.checkpoint else None,
    )


if __name__ == "__main__":
    sys.exit(main())
