"""Results of benchmarks, with what they were measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def write_result(name: str, figures: dict[str, Any]) -> None:
    """Write benchmarks/results/NAME.json."""
    result = {
        "figures": figures,
        "machine": {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.system()},
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in ("neox-toolkit", "torch", "deepspeed")},
        },
        "date": datetime.date.today().isoformat(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {RESULTS / name}.json")
