"""A directory of checkpoints that GPT-NeoX wrote, and the losses of the steps that followed: converted, loaded and gone on with.

Beside the directory NAME lies NAME.expected.json: the run's settings, its ranks, the losses of all steps, and after which step the
directory was written. Token files lie beside it, or in the directory above.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch.distributed as dist
from pydantic import Field, PositiveInt, ValidationError

from neox_core.checkpoint import Reader, find_family
from neox_core.checkpoint.conversion import write_converted
from neox_core.checkpoint.family import Family, ForeignCheckpoint
from neox_core.checkpoint.layout import PLUGINS
from neox_core.config import DataSettings, NeoXArgs, Resolved, Topology, World, dump_yaml
from neox_core.config.compatibility import GPT_NEOX
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.errors import SettingsError, UserError
from neox_core.plugins import PluginManager
from neox_core.testing.fixture import Part, TokenFiles, in_words
from neox_core.testing.golden_checks import Check
from neox_core.testing.golden_replica import END_OF_DOCUMENT, shared
from neox_core.testing.recorded import absolute_error, relative_error
from neox_core.testing.recorded_files import RecordedFiles
from neox_core.training.batches import Batches
from neox_core.training.components import component_problems
from neox_core.training.datasets import open_datasets
from neox_core.training.engine import Engine, StepResult
from neox_core.training.progress import Progress
from neox_core.training.schedule import make_schedule

TOLERANCE = 1e-5
"""Relative error of losses."""


class ResumedRun(Part):
    """What is recorded of one directory.

    Args:
        name: of the directory.
        config: settings of the run.
        data: its token files.
        losses: of all steps, those before the checkpoint too; likewise `lrs` and `grad_norms`.
        world_size: ranks of the run.
        saved_after_step: steps that it had taken when it was saved.
    """

    name: str
    config: dict[str, Any]
    data: dict[str, TokenFiles] = Field(default_factory=dict)
    losses: list[float] = Field(min_length=1)
    lrs: list[float] | None = None
    grad_norms: list[float] | None = None
    world_size: PositiveInt
    saved_after_step: int = Field(ge=0)

    @classmethod
    def read(cls, path: Path) -> ResumedRun:
        """What the file at `path` says.

        Raises:
            UserError: it is not such a file; all that is wrong with it.
        """
        try:
            run = cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise UserError(f"does not describe a directory of checkpoints: {'; '.join(in_words(error))}") from error
        if run.saved_after_step >= len(run.losses):
            raise UserError(
                f"losses has {len(run.losses)} steps and the checkpoint was saved after {run.saved_after_step}: there is nothing to "
                "compare"
            )
        return run


def is_resumed(path: Path) -> bool:
    """Whether a file describes a directory of checkpoints, not a run from its beginning."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "saved_after_step" in content


class Resumption:
    """A recorded run that goes on here.

    Args:
        path: of the file that describes it.
        topology: of the ranks, all of which have to make one.
        changes: further settings.

    Raises:
        UserError: it cannot be read, converted, or run on the topology.
    """

    def __init__(self, path: Path, topology: Topology, changes: Mapping[str, Any]) -> None:
        self.run = ResumedRun.read(path)
        self.plugins = PluginManager()
        self.files = RecordedFiles(_with_token_files(path, self.run), self.run.data)
        config = {
            key: self.files.prefixes(value) if key.endswith(("data_path", "data_paths")) else value
            for key, value in self.run.config.items()
        }
        self.foreign = _opened(path.parent / self.run.name, config, self.plugins)
        self.resolved = self._resolve(config, topology, changes)
        self.topology = topology

    def _resolve(self, config: Mapping[str, Any], topology: Topology, changes: Mapping[str, Any]) -> Resolved:
        """The settings of the run on a topology, with as many samples a step as it had."""
        recorded = NeoXArgs.from_dict(config, plugins=self.plugins)
        batch = recorded.resolve(World.local(self.run.world_size), self.foreign.vocabulary).batch
        pipe = max(topology.pipe, min(recorded.pipe_parallel_size, 1))
        settings = {
            "compat": GPT_NEOX,
            "row_parallel_bias_copies": recorded.model_parallel_size,
            **self.foreign.settings,
            "model_parallel_size": topology.tensor,
            "pipe_parallel_size": pipe,
            **shared(
                batch._replace(accumulation=batch.accumulation * batch.data_parallel, data_parallel=1), topology.data
            ),
            **changes,
        }
        args = NeoXArgs.from_dict(settings, plugins=self.plugins)
        resolved = args.resolve(World.local(topology.size), self.foreign.vocabulary)
        problems = [*resolved.limitations, *component_problems(resolved, self.plugins)]
        if problems:
            raise SettingsError(problems)
        return resolved

    def go_on(self) -> tuple[Progress, list[StepResult], list[float]]:
        """How far the run was, the steps that follow, and the learning rate after each of them."""
        resolved, plugins = self.resolved, self.plugins
        objective = plugins.make("objective", self.run.config.get("train_impl", "normal"), resolved)
        engine = Engine(resolved, plugins, objective)
        progress = self._load(engine)
        train = open_datasets(resolved).train
        if train is None:
            raise UserError("its split leaves no document for training")
        place = self.topology.place(dist.get_rank())
        masked = END_OF_DOCUMENT if resolved[DataSettings].eod_mask_loss else None
        batches = Batches(train, resolved, place.data, objective.batch_fields, masked)
        batches.seek(progress.consumed_samples)
        schedule = make_schedule(resolved, plugins)
        results, rates = list[StepResult](), list[float]()
        for step in range(progress.iteration, len(self.run.losses)):
            done = progress.scheduled + step - progress.iteration
            results.append(engine.train_step(batches, step=step, learning_rate=schedule(done)))
            rates.append(schedule(done + 1))
        return progress, results, rates

    def _load(self, engine: Engine) -> Progress:
        """Convert into a directory that rank 0 makes, and load from there."""
        directory: list[Any] = [None]
        made = TemporaryDirectory(prefix="neox-resumed-") if dist.get_rank() == 0 else None
        if made is not None:
            files = {
                CHECKPOINT_SETTINGS: dump_yaml(self.resolved.values),
                PLUGINS: json.dumps(self.plugins.manifest()),
            }
            directory[0] = str(write_converted(self.foreign, self.resolved, Path(made.name), files))
        dist.broadcast_object_list(directory)
        reader = Reader(Path(directory[0]))
        engine.load_fragments(reader)
        progress = Progress.from_dict(reader.state)
        dist.barrier()
        if made is not None:
            made.cleanup()
        return progress


def compare_resumed(path: Path, topology: Topology, changes: Mapping[str, Any] | None = None) -> list[Check]:
    """All comparisons of one directory. The process group must exist, and every rank of the topology has to call it.

    Args:
        path: of the file that describes the directory.
        topology: of the ranks.
        changes: further settings, such as another stage of ZeRO.

    Raises:
        UserError: it cannot be read, converted, or run.
    """
    return list(_checks(Resumption(path, topology, changes or {})))


def check_resumes(path: Path, topology: Topology) -> None:
    """Look whether the run can go on upon a topology, before anything is started.

    Raises:
        UserError: it cannot.
    """
    Resumption(path, topology, {})


def _checks(resumption: Resumption) -> Iterator[Check]:
    run = resumption.run
    yield Check("token files that differ", resumption.files.differences(), 0)
    progress, results, rates = resumption.go_on()
    yield Check("steps taken before", abs(progress.iteration - run.saved_after_step), 0)
    after = slice(progress.iteration, None)
    yield Check("losses", relative_error([result.loss for result in results], run.losses[after]), TOLERANCE)
    if run.lrs is not None:
        yield Check("learning rates", absolute_error(rates, run.lrs[after]), 1e-9)
    if run.grad_norms is not None:
        yield Check(
            "gradient norms", relative_error([result.grad_norm for result in results], run.grad_norms[after]), 1e-3
        )


def _opened(path: Path, config: Mapping[str, Any], plugins: PluginManager) -> ForeignCheckpoint:
    found: tuple[str, Family] | None = find_family(path, plugins) if path.exists() else None
    if found is None:
        raise UserError(
            f"{path} is no directory of checkpoints of another family; it has to lie beside the file that describes it"
        )
    return found[1].open(path, config)


def _with_token_files(path: Path, run: ResumedRun) -> Path:
    """Where the token files lie."""
    wanted = [f"{files.file or name}.idx" for name, files in run.data.items() if files.source is None]
    above = path.parent.parent
    return above if wanted and not any((path.parent / name).exists() for name in wanted) else path.parent
