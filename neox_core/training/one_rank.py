"""One rank of a training run, from the meeting with the others to the end."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import torch
import torch.distributed as dist

from neox_core.checkpoint import TorchGroup
from neox_core.config import CheckpointSettings, DataSettings, Resolved, TrainingSettings
from neox_core.data.samples.building import Builder
from neox_core.errors import UserError
from neox_core.launch import Rendezvous, Watch
from neox_core.model import Objective
from neox_core.model.soft_prompt import SOFT_PROMPT
from neox_core.plugins import PluginManager
from neox_core.training.away import bring
from neox_core.training.batches import Batches
from neox_core.training.beginning import Resumption, TakenUp, begin_with
from neox_core.training.components import selected_companions, selected_loggers
from neox_core.training.datasets import open_datasets
from neox_core.training.deepspeed.making import import_deepspeed
from neox_core.training.engine import Engine
from neox_core.training.handover import Handover, agree, receive
from neox_core.training.ledger import Ledger
from neox_core.training.loop import Training
from neox_core.training.measures import Measures
from neox_core.training.progress import Progress
from neox_core.training.rendezvous import end_limit, hang_limit, lost_contact, process_group, rendezvous, telling
from neox_core.training.run import Run
from neox_core.training.saving import Saver
from neox_core.training.schedule import make_schedule
from neox_core.training.shared_samples import SharedSamples
from neox_core.training.startup import Startup
from neox_core.training.stopping import StopRequests

logger = logging.getLogger("neox")


def main(arguments: Sequence[str]) -> int:
    """Run one rank to its end.

    Args:
        arguments: the file that says what to do.

    Returns:
        0; 128 + n after signal n; 2 for what a user can mend; 75 where another rank failed, 1 where it is not known which.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logger.setLevel(logging.INFO)
    try:
        return work(Path(arguments[0]))
    except (UserError, RuntimeError) as error:
        sentence = str(error) if isinstance(error, UserError) else lost_contact(error)
        if sentence is None or os.environ.get("NEOX_TRACEBACK"):
            raise
        sys.stderr.write(f"error: {sentence}\n")
        return error.exit_code if isinstance(error, UserError) else 1


def work(handover_file: Path) -> int:
    """Meet the other ranks, make sure that all are about to do the same, and train."""
    place = Rendezvous.from_environment(os.environ)
    with rendezvous(place, str(handover_file)) as (store, watch), telling(watch):
        watch.crumbs.at("settings")
        handover = receive(store, place, handover_file)
        watch.run_dir = Path(handover.run_dir)
        check_world(place, handover)
        startup = Startup(handover.begun, handover.launched)
        plugins, resolved = handover.resolve()
        watch.allow(hang_limit(resolved))
        statement = {
            "host": socket.gethostname(),
            "settings": resolved.fingerprint(),
            "plugins": plugins.manifest(),
            "torch": torch.__version__,
        }
        agree(store, place, statement)
        stop = StopRequests()  # until here it has nothing to save, and dies of the signal
        leave_imports_alone(resolved)
        bring(handover.away, resolved, plugins, place, watch.crumbs)
        with process_group(store, place, resolved):
            return train(handover, plugins, resolved, place, stop, startup=startup, watch=watch)


def leave_imports_alone(resolved: Resolved) -> None:
    """Import what remains to be imported, and never look for garbage among it: that would stop this rank while others wait for it."""
    import_module("torch._dynamo")  # torch's optimizers need it
    import_deepspeed(resolved.world.device)
    gc.freeze()


def check_world(place: Rendezvous, handover: Handover) -> None:
    """Raises `UserError` when the launcher has started another number of ranks than the run was planned for."""
    planned = handover.world.size
    if place.world_size != planned:
        raise UserError(
            f"WORLD_SIZE: {place.world_size} ranks were started for a run of {planned}; let the launcher start {planned}, or set "
            "hostfile, num_nodes and num_gpus to what it starts"
        )


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
    shared = SharedSamples(resolved.topology, place.rank)
    return {
        name: Batches(dataset, resolved, rank, objective.batch_fields, masked, shared=shared)
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
    watch: Watch | None = None,
) -> int:
    """Put a run together and carry it out; every rank does the same."""
    rank, run_dir, watch = place.rank, Path(handover.run_dir), watch or Watch.alone()
    startup.mark("rendezvous")
    watch.crumbs.at("making samples ready")
    torch.manual_seed(resolved[TrainingSettings].seed)
    objective: Objective = plugins.make("objective", resolved[TrainingSettings].train_impl, resolved)
    batches = open_batches(resolved, objective, place, handover.eod_token)
    startup.mark("data")
    watch.crumbs.at("making the model and the engine")
    engine = Engine(resolved, plugins, objective, startup.mark, watch.crumbs)
    watch.crumbs.at("loading")
    loaded = begin_with(engine, Path(handover.initial), resolved, plugins, rank) if handover.initial else ()
    if handover.prompt_tokens and SOFT_PROMPT not in loaded:
        engine.begin_prompt(handover.prompt_tokens)
    measures = Measures(resolved, [*engine.whole.shapes], engine.device)
    group = TorchGroup()
    taken = TakenUp(None, Progress())
    if handover.checkpoint:
        paths = [Path(handover.checkpoint), *map(Path, handover.older)]
        resumption = Resumption(engine=engine, measures=measures, batches=batches, resolved=resolved, group=group)
        taken = resumption.take_up(paths)
    for name in selected_loggers(resolved, plugins):
        plugins.register(plugins.make("logger", name, resolved, run_dir), f"logger {name}")
    for name in selected_companions(resolved, plugins):
        plugins.register(plugins.make("companion", name, resolved, plugins), f"the companion {name}")
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
        saver=Saver(
            resolved,
            plugins,
            group,
            beside=group_beside(resolved),
            iteration=taken.progress.iteration,
            damaged=(*map(Path, handover.damaged), *taken.damaged),
        ),
        description=describe(handover, resolved, engine, taken),
        progress=taken.progress,
        stop=stop,
    )
    return carry_out(training, watch)


def group_beside(resolved: Resolved) -> TorchGroup | None:
    """All ranks again, for the thread that writes checkpoints beside training, if one does; every rank has to call this.

    What is slow there is the disk, on which ranks wait for each other as long as that takes.
    """
    settings = resolved[CheckpointSettings]
    if not settings.checkpoint_async or settings.save is None:
        return None
    return TorchGroup(dist.new_group(backend="gloo", timeout=timedelta(days=1)))


def carry_out(training: Training, watch: Watch) -> int:
    """Run the loop, and tell the other ranks and the plugins how it ended."""
    gc.enable()
    try:
        with telling(watch):
            signal = training.run()
    except BaseException as error:
        training.notify("neox_train_end", error=error)
        raise
    finally:
        for batches in training.batches.values():
            batches.close()
    code = 128 + signal if signal else 0
    watch.allow(end_limit(training.resolved))
    watch.crumbs.at("the end of the run")
    training.notify("neox_train_end", error=SystemExit(code) if code else None)
    return code


def describe(handover: Handover, resolved: Resolved, engine: Engine, taken: TakenUp) -> Run:
    """What hooks are told of the run."""
    return Run(
        name=handover.name,
        directory=Path(handover.run_dir),
        resolved=resolved,
        rank=dist.get_rank(),
        world_size=dist.get_world_size(),
        start_iteration=taken.progress.iteration,
        train_iters=resolved.train_iters,
        parameters=engine.whole.parameters,
        flops_per_token=engine.whole.flops_per_token,
        resumed_from=taken.path,
    )
