"""CPU time of the command line's start: `neox --help` and `neox plugins` against `python -c pass`, medians of warm runs."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from record import write_result

RUNS = 15
NEOX = str(Path(sys.executable).with_name("neox"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "neox --help": [NEOX, "--help"],
    "neox plugins": [NEOX, "plugins"],
    "neox plugins --no-import": [NEOX, "plugins", "--no-import"],
}
BUDGET = {"neox --help": 0.150, "neox plugins": 0.250}


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
    reference = medians["python -c pass"]
    for name, seconds in medians.items():
        budget = f"  budget {BUDGET[name] * 1000:.0f} ms" if name in BUDGET else ""
        print(f"{name:26} {seconds * 1000:6.1f} ms  {seconds / reference:5.1f} x python{budget}")
    write_result(
        "cli_start", {"cpu_seconds": medians, "ratio_to_python": {n: s / reference for n, s in medians.items()}}
    )


if __name__ == "__main__":
    main()
