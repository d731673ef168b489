"""Reading `metrics.jsonl` back: one value a step, whatever number of times the run was started."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a metrics file in the order of writing; a half-written last line is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def curve(paths: Iterable[Path], name: str, *, split: str | None = None) -> list[tuple[int, float]]:
    """The values of `name` by iteration, as the run that went on had them.

    A "start" event undoes what earlier starts of the run wrote about later iterations, and of two values for one
    iteration the last counts.

    Args:
        paths: the `metrics.jsonl` of each start, the earliest first: `sorted(Path("runs/NAME").glob("*/metrics.jsonl"))`.
        name: a field of the events ("loss", "learning_rate"), or one of their metrics or measures. Events without it are left out.
        split: None for the curve of the steps; "validation" or "test" for that of the evaluations.
    """
    values: dict[int, float] = {}
    for event in chain.from_iterable(map(read, paths)):
        if event["event"] == "start":
            values = {iteration: value for iteration, value in values.items() if iteration <= event["iteration"]}
        elif event["event"] == ("step" if split is None else "evaluation") and event.get("split") == split:
            value = {**event.get("measures", {}), **event["metrics"], **event}.get(name)
            if value is not None:
                values[event["iteration"]] = float(value)
    return sorted(values.items())
