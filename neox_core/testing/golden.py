"""Compare a run here with numbers that were recorded from GPT-NeoX: `python -m neox_core.testing.golden FIXTURE.json...`.

A fixture names a configuration, token files beside it, and what GPT-NeoX computed from weights that follow a rule: logits, batches,
losses, learning rates, gradient norms, final parameters. Whoever leaves a fork of GPT-NeoX can record one and have it checked.

Exit code 0 when everything is within tolerance, 1 when something is not, 2 when a fixture cannot be read or run.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neox_core.config import DataSettings, NeoXArgs, Resolved, World
from neox_core.config.compatibility import GPT_NEOX
from neox_core.errors import SettingsError, UserError
from neox_core.model import Batch, WeightConverter
from neox_core.plugins import PluginManager
from neox_core.testing.fixture import FinalParameter, Fixture
from neox_core.testing.processes import solo_process_group
from neox_core.testing.recorded import absolute_error, array_digest, relative_error, rule_weights
from neox_core.testing.recorded_files import RecordedFiles
from neox_core.training.batches import Batches
from neox_core.training.datasets import open_datasets
from neox_core.training.engine import Engine
from neox_core.training.schedule import make_schedule

END_OF_DOCUMENT = 0
"""The one that ends a document there."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: the largest error found, or the number of differences, and what is allowed."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within tolerance; a NaN is not."""
        return self.error <= self.tolerance


@dataclass(slots=True)
class Replica:
    """The fixture's run, set up here: rule weights loaded, nothing trained yet."""

    fixture: Fixture
    files: RecordedFiles
    resolved: Resolved
    plugins: PluginManager
    engine: Engine
    converter: WeightConverter
    batches: Batches
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> Replica:
        """Set up the run of the fixture at `path`.

        Raises:
            UserError: the fixture cannot be read, or needs what is not there.
        """
        fixture = Fixture.read(path)
        files = RecordedFiles(path.parent, fixture.data)
        plugins = PluginManager()
        config = {
            key: files.prefixes(value) if key.endswith(("data_path", "data_paths")) else value
            for key, value in fixture.config.items()
        }
        args = NeoXArgs.from_dict({"compat": GPT_NEOX, **config}, plugins=plugins)
        resolved = args.resolve(World.local(), fixture.vocabulary)
        if resolved.limitations:
            raise SettingsError(resolved.limitations)
        objective = plugins.make("objective", config.get("train_impl", "normal"), resolved)
        engine = Engine(resolved, plugins, objective)
        converter: WeightConverter = plugins.make("converter", "gpt-neox", resolved)
        engine.load_weights(converter.read(weights_of(fixture)))
        train = open_datasets(resolved).train
        if train is None:
            raise UserError("its split leaves no document for training")
        batches = Batches(
            train,
            resolved,
            0,
            objective.batch_fields,
            END_OF_DOCUMENT if resolved[DataSettings].eod_mask_loss else None,
        )
        return cls(fixture, files, resolved, plugins, engine, converter, batches)

    def first_batch(self) -> Batch:
        """The first micro-batch."""
        return next(self.batches.seek(0))

    def train(self) -> None:
        """As many steps as were recorded."""
        schedule = make_schedule(self.resolved, self.plugins)
        self.batches.seek(0)
        for step in range(len(self.fixture.losses)):
            result = self.engine.train_step(self.batches, step=step, learning_rate=schedule(step))
            self.losses.append(result.loss)
            self.norms.append(result.grad_norm)
            self.rates.append(schedule(step + 1))


def weights_of(fixture: Fixture) -> dict[str, Tensor]:
    """The weights before the first step, under GPT-NeoX's names."""
    return {name: torch.from_numpy(rule_weights(name, shape)) for name, shape in fixture.params.items()}


def token_files(replica: Replica) -> Iterator[Check]:
    """That the run reads what was read then, and begins with the same row."""
    different = replica.files.differences()
    row = replica.fixture.tokens_row0
    if row is not None:
        different += replica.first_batch()["tokens"][0].tolist() != row
    yield Check("token files that differ", different, 0)


def logits(replica: Replica) -> Iterator[Check]:
    """Logits of the first batch before any step."""
    recorded = replica.fixture.logits
    if recorded is None:
        return
    with torch.no_grad():
        found = replica.engine.model.eval()(replica.first_batch()["tokens"]).logits().float()
    first_entries = [entry for row in recorded.row0_every16_first8 for entry in row]
    errors = [
        absolute_error(found[0, ::16, :8].flatten().tolist(), first_entries),
        absolute_error(found[0].logsumexp(-1).tolist(), recorded.logsumexp_row0),
        absolute_error([float(found.mean()), float(found.std())], [recorded.mean, recorded.std]),
    ]
    yield Check("logits", max(errors) if list(found.shape) == recorded.shape else math.inf, 2e-5)


def evaluation(replica: Replica) -> Iterator[Check]:
    """Loss of the first batch before any step, dropout off."""
    wanted = replica.fixture.eval_loss
    if wanted is not None:
        found = replica.engine.evaluate(replica.batches.seek(0), 1)["loss"]
        yield Check("eval loss", relative_error([found], [wanted]), 2e-5)


def batches(replica: Replica) -> Iterator[Check]:
    """Every micro-batch: tokens, labels and loss mask."""
    replica.batches.seek(0)
    different = 0
    for wanted, found in zip(replica.fixture.batches, replica.batches, strict=False):
        same = (
            array_digest(found["tokens"].numpy()) == wanted.tokens
            and array_digest(found["labels"].numpy()) == wanted.labels
            and float(found["loss_mask"].sum()) == wanted.mask_sum
        )
        different += not same
    yield Check("batches that differ", different, 0)


def training(replica: Replica) -> Iterator[Check]:
    """Losses, learning rates and gradient norms of all recorded steps."""
    replica.train()
    fixture = replica.fixture
    yield Check("losses", relative_error(replica.losses, fixture.losses), 2e-5)
    if fixture.lrs is not None:
        yield Check("learning rates", absolute_error(replica.rates, fixture.lrs), 1e-9)
    if fixture.grad_norms is not None:
        yield Check("gradient norms", relative_error(replica.norms, fixture.grad_norms), 1e-3)


def final_parameters(replica: Replica) -> Iterator[Check]:
    """L2 norm and first values of each parameter after the last step, the values as a share of its root mean square.

    The key part of a query-key-value bias has a gradient of zero, so that Adam normalises rounding noise there: left out, as is what
    GPT-NeoX has and never uses, which is what it was at the beginning.
    """
    found = replica.converter.write(replica.engine.model.state_dict())
    recorded = {
        name: entry
        for name, entry in replica.fixture.final_params.items()
        if name in found and not name.endswith("query_key_value.bias") and not _is_unused(replica, name, entry)
    }
    if recorded:
        norms = {name: float(found[name].double().norm()) for name in recorded}
        wanted = [entry.l2 for entry in recorded.values()]
        yield Check("final parameters", relative_error(list(norms.values()), wanted), 1e-3)
        errors = [
            absolute_error(found[name].flatten()[: len(entry.first4)].tolist(), entry.first4)
            * found[name].numel() ** 0.5
            / norms[name]
            for name, entry in recorded.items()
        ]
        yield Check("their first values", max(errors, default=0.0), 1e-2)


def _is_unused(replica: Replica, name: str, entry: FinalParameter) -> bool:
    """Whether a parameter is what it was at the beginning, and is none that a model here is made of."""
    weights = weights_of(replica.fixture)
    first = weights.pop(name)
    if relative_error([float(first.double().norm())], [entry.l2]) > 1e-7:
        return False
    try:
        replica.converter.read(weights)
    except UserError:
        return False
    return True


CHECKS: tuple[Callable[[Replica], Iterator[Check]], ...] = (
    token_files,
    logits,
    evaluation,
    batches,
    training,
    final_parameters,
)


def compare(path: Path) -> list[Check]:
    """All comparisons of one fixture. The process group must exist.

    Raises:
        UserError: the fixture cannot be read, or needs what is not there.
    """
    torch.manual_seed(0)
    replica = Replica.of(path)
    return [result for check in CHECKS for result in check(replica)]


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m neox_core.testing.golden", description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", nargs="+", type=Path, metavar="FIXTURE.json")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(argv)
    results: dict[str, list[Check]] = {}
    code = 0
    with solo_process_group():
        for path in options.fixtures:
            try:
                results[str(path)] = compare(path)
            except UserError as error:
                sys.stderr.write(f"error: {path}: {error}\n")
                code = error.exit_code
    sys.stdout.write(as_json(results) if options.json else as_table(results))
    passed = all(check.passed for checks in results.values() for check in checks)
    return code or (0 if passed else 1)


def as_json(results: dict[str, list[Check]]) -> str:
    """Every comparison as data; an error that is infinite is null."""
    data = {path: [_as_data(check) for check in checks] for path, checks in results.items()}
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def _as_data(check: Check) -> dict[str, Any]:
    finite = check.error if math.isfinite(check.error) else None
    return asdict(check) | {"error": finite, "passed": check.passed}


def as_table(results: dict[str, list[Check]]) -> str:
    """Every comparison as a line."""
    lines = []
    for path, checks in results.items():
        lines.append(path)
        for check in checks:
            verdict = "ok" if check.passed else "FAILED"
            lines.append(f"  {check.name:20} {check.error:10.3g}  allowed {check.tolerance:<8.3g} {verdict}")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
