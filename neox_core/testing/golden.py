"""Compare a run here with numbers that were recorded from GPT-NeoX: `python -m neox_core.testing.golden FIXTURE.json...`.

A fixture names a configuration, token files beside it, and what GPT-NeoX computed from weights that follow a rule: logits, batches,
losses, learning rates, gradient norms, final parameters. Whoever leaves a fork of GPT-NeoX can record one and have it checked. A file
NAME.expected.json describes a directory NAME of checkpoints beside it and the losses that follow: it is converted, and gone on with.
With `--tp`, `--pp` and `--dp` the run is cut over as many processes, which have to come to the same numbers.

Exit code 0 when everything is within tolerance, 1 when something is not, 2 when a fixture cannot be read or run.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

from neox_core.config import Topology
from neox_core.errors import UserError
from neox_core.plugins import PluginManager
from neox_core.testing.distributed import Workers
from neox_core.testing.fixture import Fixture
from neox_core.testing.golden_checks import CHECKS, Check
from neox_core.testing.golden_replica import Replica, resolve
from neox_core.testing.processes import solo_process_group
from neox_core.testing.recorded_files import RecordedFiles
from neox_core.testing.resumed import check_resumes, compare_resumed, is_resumed

LIMIT = 600.0
"""Seconds that ranks may take for one fixture."""


def compare(path: Path, topology: Topology = Topology()) -> list[Check]:  # noqa: B008  it is frozen
    """All comparisons of one fixture. The process group must exist, and every rank of the topology has to call it.

    Raises:
        UserError: the fixture cannot be read, or needs what is not there.
    """
    torch.manual_seed(0)
    if is_resumed(path):
        return compare_resumed(path, topology)
    replica = Replica.of(path, topology)
    return [result for check in CHECKS for result in check(replica)]


def check_runs(path: Path, topology: Topology) -> None:
    """Look whether the fixture can be run on a topology, before anything is started.

    Raises:
        UserError: it cannot.
    """
    if is_resumed(path):
        check_resumes(path, topology)
        return
    fixture = Fixture.read(path)
    resolve(fixture, RecordedFiles(path.parent, fixture.data), PluginManager(), topology)


class Comparer(Protocol):
    """Compares one fixture."""

    def __call__(self, path: Path) -> list[Check]:
        """All comparisons."""


@contextmanager
def ranks(topology: Topology) -> Iterator[Comparer]:
    """What compares fixtures: this process, or as many others as the topology has ranks."""
    if topology.size == 1:
        with solo_process_group():
            yield compare
        return
    with Workers(topology.size, limit=LIMIT) as workers:

        def over_ranks(path: Path) -> list[Check]:
            check_runs(path, topology)
            checks: list[Check] = workers.run("neox_core.testing.golden:compare", path, topology)[0]
            return checks

        yield over_ranks


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m neox_core.testing.golden", description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", nargs="+", type=Path, metavar="FIXTURE.json")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    for name, what in (("tp", "tensor-parallel ranks"), ("pp", "stages of a pipeline"), ("dp", "data-parallel ranks")):
        parser.add_argument(f"--{name}", type=size, default=1, metavar="N", help=f"number of {what}")
    options = parser.parse_args(argv)
    topology = Topology(pipe=options.pp, data=options.dp, tensor=options.tp)
    results: dict[str, list[Check]] = {}
    code = 0
    with ranks(topology) as comparer:
        for path in options.fixtures:
            try:
                results[str(path)] = comparer(path)
            except UserError as error:
                sys.stderr.write(f"error: {path}: {error}\n")
                code = error.exit_code
    sys.stdout.write(as_json(results) if options.json else as_table(results))
    passed = all(check.passed for checks in results.values() for check in checks)
    return code or (0 if passed else 1)


def size(text: str) -> int:
    """A number of ranks."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


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
