"""CPU time of the settings: importing them, and `neox config check` of one file, against the interpreter and pydantic alone.

Medians of user and system time over fresh processes, after one that warms the caches.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from record import write_result

RUNS = 15
NEOX = str(Path(sys.executable).with_name("neox"))
QUICKSTART = str(Path(__file__).resolve().parent.parent / "configs" / "quickstart.yml")
IMPORT = "import neox_core.config; from neox_core.config import CORE_GROUPS, NeoXArgs"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import pydantic": [sys.executable, "-c", "from pydantic import BaseModel"],
    "import neox_core.config": [sys.executable, "-c", IMPORT],
    "neox config check": [NEOX, "config", "check", QUICKSTART],
}
BUDGET = {"import neox_core.config": 0.250, "neox config check": 0.400}


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, print and record."""
    medians = {}
    for name, command in COMMANDS.items():
        cpu_seconds(command)
        medians[name] = statistics.median(cpu_seconds(command) for _ in range(RUNS))
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
