"""CPU time of the settings: importing them, and `neox config check` of one file, against the interpreter and pydantic alone.

Medians of user and system time over fresh processes, from the start of the interpreter to its end; for the import also without
those, as the process itself sees it, which is what the budget is for.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cpu_time import compiled_modules, median_cpu_seconds
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


def import_seconds(environment: Mapping[str, str]) -> float:
    """User and system time of the import in a process that is up."""
    command = [sys.executable, "-c", MEASURED]
    return float(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)


def measure() -> dict[str, float]:
    """Median of CPU seconds by command."""
    with compiled_modules() as environment:
        medians = median_cpu_seconds(COMMANDS, environment, RUNS)
        return {**medians, ALONE: statistics.median(import_seconds(environment) for _ in range(RUNS))}


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
