"""Nodes against NeMo-Run and Fiddle: import, start of the command line, making, building and copying a tree.

`python benchmarks/nodes.py --reference PYTHON`, where PYTHON is that of an environment with nemo_run (with `leptonai<0.28`, without
which it cannot be imported), measures all side by side: the processes take turns, figures are medians. Without it only ours are
measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cpu_time import compiled_modules, median_cpu_seconds
from record import write_result

RUNS = 11
BAR = 5.0
"""How many times as quick as NeMo-Run import and start of the command line are to be."""

NAMES = {
    "neox": "from neox_core import Config, build",
    "NeMo-Run": "from nemo_run import Config; from fiddle import build",
    "Fiddle": "from fiddle import Config, build",
}
"""How each names a node and building one."""

IMPORTS = {
    "neox": "from neox_core import Config, Partial, autoconvert, build, to_yaml; Config(dict)",
    "NeMo-Run": "import nemo_run",
}

TASKS = {
    "neox": """
from neox_core import command

@command
def task(steps: int = 1) -> None:
    print(steps)
""",
    "NeMo-Run": """
import nemo_run as run

@run.cli.entrypoint
def task(steps: int = 1) -> None:
    print(steps)

if __name__ == "__main__":
    run.cli.main(task)
""",
}

TREES = """
import copy, json, statistics, timeit
from dataclasses import dataclass

{names}


@dataclass
class Inner:
    hidden: int = 4
    layers: int = 2


@dataclass
class Outer:
    inner: Inner
    steps: int = 10


tree = Config(Outer, inner=Config(Inner, hidden=8), steps=3)
assert build(tree) == Outer(Inner(8, 2), 3)


def microseconds(statement):
    timer = timeit.Timer(statement, globals=globals())
    number = max(1, int(0.05 / (timer.timeit(200) / 200)))
    return statistics.median(timer.repeat(7, number)) / number * 1e6


print(json.dumps({{
    "make one node of two parameters": microseconds("Config(Inner, hidden=8, layers=3)"),
    "build two nodes": microseconds("build(tree)"),
    "copy two nodes": microseconds("copy.deepcopy(tree)"),
}}))
"""


def commands(reference: str | None, directory: Path) -> dict[str, dict[str, list[str]]]:
    """What is started, by what is measured and whose it is."""
    for name, text in TASKS.items():
        (directory / f"{name.replace('-', '_').lower()}_task.py").write_text(text)
    neox = str(Path(sys.executable).with_name("neox"))
    found = {
        "import": {"neox": [sys.executable, "-c", IMPORTS["neox"]]},
        "help": {"neox": [neox, "--help"]},
        "a task that does nothing": {"neox": [neox, "run", "neox_task.py:task", "steps=3"]},
    }
    if reference:
        found["import"]["NeMo-Run"] = [reference, "-c", IMPORTS["NeMo-Run"]]
        found["help"]["NeMo-Run"] = [str(Path(reference).with_name("nemorun")), "--help"]
        found["a task that does nothing"]["NeMo-Run"] = [reference, "nemo_run_task.py", "--yes", "steps=3"]
    return found


def measure_processes(reference: str | None) -> dict[str, dict[str, float]]:
    """Median CPU seconds, by what is measured and whose it is."""
    with tempfile.TemporaryDirectory() as directory, compiled_modules() as environment:
        return {
            what: median_cpu_seconds(started, {**environment, "INCLUDE_WORKSPACE_FILE": "false"}, RUNS, directory)
            for what, started in commands(reference, Path(directory)).items()
        }


def measure_trees(reference: str | None) -> dict[str, dict[str, float]]:
    """Median microseconds, by what is done and whose it is."""
    pythons = {"neox": sys.executable} | ({"NeMo-Run": reference, "Fiddle": reference} if reference else {})
    found: dict[str, dict[str, float]] = {}
    for who, python in pythons.items():
        code = TREES.format(names=NAMES[who])
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "trees.py").write_text(code)
            printed = subprocess.run(
                [python, "trees.py"], check=True, capture_output=True, text=True, cwd=directory
            ).stdout
        for what, microseconds in json.loads(printed.splitlines()[-1]).items():
            found.setdefault(what, {})[who] = microseconds
    return found


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reference", metavar="PYTHON", help="Python of an environment with nemo_run")
    reference = parser.parse_args().reference
    processes, trees = measure_processes(reference), measure_trees(reference)
    for unit, scale, figures in (("ms", 1000, processes), ("us", 1, trees)):
        for what, of in figures.items():
            texts = [f"{who} {value * scale:.1f} {unit}" for who, value in of.items()]
            ratios = [f"{value / of['neox']:.1f} x" for who, value in of.items() if who != "neox"]
            print(f"{what:32} {', '.join(texts)}" + (f"   {', '.join(ratios)}" if ratios else ""))
    ratios = {what: of["NeMo-Run"] / of["neox"] for what, of in processes.items() if "NeMo-Run" in of}
    write_result("nodes", {"cpu_seconds": processes, "microseconds": trees, "ratio_of_nemo_run": ratios, "bar": BAR})


if __name__ == "__main__":
    main()
