"""CPU time of the command line's start: `neox --help` and `neox plugins` against `python -c pass`, medians of warm runs."""

from __future__ import annotations

import sys
from pathlib import Path

from cpu_time import compiled_modules, median_cpu_seconds
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


def main() -> None:
    """Measure, print and record."""
    with compiled_modules() as environment:
        medians = median_cpu_seconds(COMMANDS, environment, RUNS)
    reference = medians["python -c pass"]
    for name, seconds in medians.items():
        budget = f"  budget {BUDGET[name] * 1000:.0f} ms" if name in BUDGET else ""
        print(f"{name:26} {seconds * 1000:6.1f} ms  {seconds / reference:5.1f} x python{budget}")
    write_result(
        "cli_start", {"cpu_seconds": medians, "ratio_to_python": {n: s / reference for n, s in medians.items()}}
    )


if __name__ == "__main__":
    main()
