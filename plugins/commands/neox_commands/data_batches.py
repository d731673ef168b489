"""The batches of a run, made again: what `neox data at` shows and `neox data replay` compares."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from neox_core.cli.choice import chosen_plugins
from neox_core.cli.given import read_given
from neox_core.cli.sources import source_of
from neox_core.config import DataSettings, NeoXArgs, Resolved, TrainingSettings
from neox_core.config.command_line import Parser, refuse_settings_options
from neox_core.data.samples.sample import Dataset
from neox_core.data.splits import Datasets
from neox_core.errors import UserError
from neox_core.model import Objective
from neox_core.plugins import CommandContext, PluginManager
from neox_core.training.batches import Batches
from neox_core.training.datasets import open_datasets
from neox_core.training.handover import FILE_NAME, Handover
from neox_core.training.ledger import DIRECTORY, BatchDigest, LedgerEntry, recorded
from neox_core.training.machines import find_world
from neox_core.training.preflight import open_tokenizer, with_epochs


def step_parser(verb: str, description: str) -> Parser:
    """The command line of a verb that is about a step of a run."""
    parser = Parser(prog=f"neox data {verb}", description=description)
    parser.add_argument(
        "words",
        nargs="+",
        metavar="RUN | FILE | RECIPE | KEY=VALUE",
        help="the directory of a run, or settings as `neox train` takes them",
    )
    parser.add_allow()
    parser.add_settings_from()
    parser.add_argument("--step", type=int, required=True, metavar="N", help="the step, counted from 1")
    parser.add_argument("--rank", type=int, metavar="R", help="only of this data-parallel rank (default: of all)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


@dataclass(frozen=True)
class RunBatches:
    """The training batches of a run, as it was or as settings say that it would be.

    Args:
        args: its settings, as they were given.
        plugins: where components are looked up.
        resolved: its settings.
        eod_token: id of the token that ends a document, where there is a tokenizer.
        run_dir: its directory; None where there is no run yet.
    """

    args: NeoXArgs
    plugins: PluginManager
    resolved: Resolved
    eod_token: int | None
    run_dir: Path | None = None

    @classmethod
    def of(cls, options: argparse.Namespace, context: CommandContext) -> RunBatches:
        """What the words of a command line name.

        Raises:
            UserError: they name no run, or settings that are wrong.
        """
        directory = Path(options.words[0])
        if len(options.words) == 1 and directory.is_dir():
            refuse_settings_options(options, f"{directory} is a run, which has all of its settings")
            handover = _handover(directory / FILE_NAME)
            plugins, resolved = handover.resolve()
            _check_readable(resolved)
            return cls(NeoXArgs(handover.entries, plugins), plugins, resolved, handover.eod_token, directory)
        given = read_given(options.words, options, context)
        plugins = chosen_plugins(given.entries, context)
        args = NeoXArgs(given.entries.values(), plugins, settings_from=source_of(options, plugins))
        tokenizer = open_tokenizer(args)
        resolved = args.resolve(find_world(args), None if tokenizer is None else tokenizer.vocab_size)
        _check_readable(resolved)
        return cls(args, plugins, with_epochs(args, resolved), None if tokenizer is None else tokenizer.eod_id)

    @cached_property
    def datasets(self) -> Datasets:
        """Its data."""
        return open_datasets(self.resolved)

    @property
    def train(self) -> Dataset:
        """Its training data.

        Raises:
            UserError: there are none.
        """
        if self.datasets.train is None:
            raise UserError("split: it leaves no document for training")
        return self.datasets.train

    def ranks(self, only: int | None) -> Sequence[int]:
        """The data-parallel ranks that are asked for.

        Raises:
            UserError: there is no such rank.
        """
        count = self.resolved.batch.data_parallel
        if only is not None and not 0 <= only < count:
            raise UserError(f"--rank: {only} is not one of the {count} data-parallel ranks, which count from 0")
        return range(count) if only is None else [only]

    def record(self, rank: int, step: int) -> LedgerEntry | None:
        """What a rank recorded of a step."""
        return None if self.run_dir is None else recorded(self.run_dir, rank, step)

    def position(self, step: int) -> int:
        """Samples that were consumed before a step: as it was recorded, else as all steps being alike would have it.

        Raises:
            UserError: there is no such step.
        """
        if not 1 <= step <= self.resolved.train_iters:
            raise UserError(f"--step: {step} is not one of the steps 1 to {self.resolved.train_iters} of this run")
        entry = self.record(0, step)
        return (step - 1) * self.resolved.batch.total if entry is None else entry.position

    def batches(self, rank: int) -> Batches:
        """The micro-batches of a rank."""
        training, data = self.resolved[TrainingSettings], self.resolved[DataSettings]
        objective: Objective = self.plugins.make("objective", training.train_impl, self.resolved)
        eod_token = self.eod_token if data.eod_mask_loss else None
        return Batches(self.train, self.resolved, rank, objective.batch_fields, eod_token)

    def numbers(self, rank: int, position: int) -> list[list[int]]:
        """The numbers of the samples of each micro-batch of a step."""
        batch, batches = self.resolved.batch, self.batches(rank)
        stride = batch.micro * batch.data_parallel
        return [batches.numbers(position + micro * stride) for micro in range(batch.accumulation)]

    def digest(self, rank: int, position: int) -> str:
        """The sha256 of a rank's micro-batches of a step."""
        digest, batches = BatchDigest(), self.batches(rank).seek(position)
        for _ in range(self.resolved.batch.accumulation):
            digest.add(next(batches))
        return str(digest)


def _check_readable(resolved: Resolved) -> None:
    if resolved[DataSettings].dataset_impl == "online":
        raise UserError(
            "dataset_impl: online: a server made the samples while the run went on, so they are in no file and cannot be read "
            f"again; with `sample_ledger: all` a run notes the sha256 of each rank's batches in {DIRECTORY}/ in its directory"
        )


def _handover(path: Path) -> Handover:
    try:
        return Handover.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the directory of a run, such as runs/NAME/START, or settings"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not what a run leaves; give the run's settings") from error
