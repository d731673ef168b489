"""Time from `neox train configs/quickstart.yml` to the first loss, by phase, against importing torch and DeepSpeed alone.

Needs the data that `neox data prepare stdlib` makes; run it from the repository's root.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import write_result

RUNS = 3
BUDGET = 15.0
NEOX = str(Path(sys.executable).with_name("neox"))


def start(directory: Path) -> dict[str, Any]:
    """One step of the quickstart in a fresh directory; what it wrote about its start."""
    overrides = [
        "train_iters=1",
        "eval_iters=0",
        f"save={directory / 'checkpoints'}",
        "load=null",
        f"runs_dir={directory / 'runs'}",
        f"tensorboard_dir={directory / 'tensorboard'}",
    ]
    subprocess.run(
        [NEOX, "train", "configs/quickstart.yml", *overrides], check=True, stdout=subprocess.DEVNULL, timeout=120
    )
    (report,) = directory.glob("runs/*/*/startup.json")
    startup: dict[str, Any] = json.loads(report.read_text())
    return startup


def import_seconds() -> float:
    """Wall-clock of a process that imports torch and DeepSpeed."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch, deepspeed"], check=True, capture_output=True)
    return time.monotonic() - begun


def main() -> None:
    """Measure, print and record."""
    reports = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as directory:
            reports.append(start(Path(directory)))
    reference = statistics.median(import_seconds() for _ in range(RUNS))
    total = statistics.median(report["seconds_to_first_loss"] for report in reports)
    phases = {name: statistics.median(report["phases"][name] for report in reports) for name in reports[0]["phases"]}
    for name, seconds in phases.items():
        print(f"{name:24} {seconds:6.2f} s  {seconds / total:5.0%}")
    print(f"{'first loss':24} {total:6.2f} s  budget {BUDGET:.0f} s")
    print(f"{'import torch, deepspeed':24} {reference:6.2f} s  first loss is {total / reference:.1f} times that")
    write_result(
        "first_loss",
        {"seconds": total, "phases": phases, "import_torch_and_deepspeed": reference, "ratio": total / reference},
    )


if __name__ == "__main__":
    main()
