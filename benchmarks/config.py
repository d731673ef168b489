"""CPU time of the settings: importing them, and `neox config check` of one file, against the interpreter and pydantic alone.

Medians of user and system time over fresh processes, from the start of the interpreter to its end; for the import also without
those, as the process itself sees it, which is what the budget is for. The commands take turns, so that each has its share of
whatever else the machine does. All have one cache of compiled modules, which the first run of each command fills: an installed neox
has them compiled too, whatever PYTHONDONTWRITEBYTECODE says where this runs.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from record import write_result

RUNS = 21
NEOX = str(Path(sys.executable).with_name("neox"))
QUICKSTART = str(Path(__file__).resolve().parent.parent / "configs" / "quickstart.yml")
IMPORT = "import neox_core.config; from neox_core.config import CORE_GROUPS, NeoXArgs"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import pydantic": [sys.executable, "-c", "from pydantic import BaseModel"],
    "import neox_core.config": [sys.executable, "-c", IMPORT],
    "neox config check": [NEOX, "config", "check", QUICKSTART],
}
ALONE = "the import alone"
MEASURED = f"import time; before = time.process_time(); {IMPORT}; print(time.process_time() - before)"
BUDGET = {ALONE: 0.250, "neox config check": 0.400}


def cpu_seconds(command: list[str], environment: Mapping[str, str]) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_seconds(environment: Mapping[str, str]) -> float:
    """User and system time of the import in a process that is up."""
    command = [sys.executable, "-c", MEASURED]
    return float(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)


def measure() -> dict[str, float]:
    """Median of CPU seconds by command."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    seconds: dict[str, list[float]] = {name: [] for name in (*COMMANDS, ALONE)}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**kept, "PYTHONPYCACHEPREFIX": compiled}
        for command in COMMANDS.values():
            cpu_seconds(command, environment)
        for _ in range(RUNS):
            for name, command in COMMANDS.items():
                seconds[name].append(cpu_seconds(command, environment))
            seconds[ALONE].append(import_seconds(environment))
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure, print and record."""
    medians = measure()
    for name, seconds in medians.items():
        ratios = f"{seconds / medians['python -c pass']:5.1f} x python {seconds / medians['import pydantic']:5.1f} x pydantic"
        budget = f"  budget {BUDGET[name] * 1000:.0f} ms" if name in BUDGET else ""
        print(f"{name:26} {seconds * 1000:6.1f} ms  {ratios}{budget}")
    figures = {
        "cpu_seconds": medians,
        "ratio_to_python": {name: seconds / medians["python -c pass"] for name, seconds in medians.items()},
        "ratio_to_pydantic": {name: seconds / medians["import pydantic"] for name, seconds in medians.items()},
        "budget_seconds": BUDGET,
    }
    write_result("config", figures)


if __name__ == "__main__":
    main()
