"""A directory as a reader of the documentation has it: the presets, and the prepared data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from markdown_pages import ROOT
from prepared_corpus import Prepared

SMALL = {
    "train_iters": 4,
    "train_micro_batch_size_per_gpu": 2,
    "eval_interval": 4,
    "eval_iters": 1,
    "checkpoint_factor": 2,
    "log_interval": 1,
}
"""What is changed in the quickstart preset, so that a run of it takes seconds."""

Shell = Callable[[str, Path], str]


@pytest.fixture(scope="session")
def shell() -> Shell:
    """Runs lines of shell in a directory, with this environment's `neox`, and returns what they print."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NEOX_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "OMP_NUM_THREADS": "1",
        "TERM": "dumb",
    }

    def run(script: str, directory: Path) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{script}\nexit code {done.returncode}\n{done.stdout}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory, prepared_stdlib: Prepared) -> Path:
    """The directory that each page starts from."""
    directory = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "configs", directory / "configs")
    quickstart = directory / "configs" / "quickstart.yml"
    quickstart.write_text(yaml.safe_dump(yaml.safe_load(quickstart.read_text()) | SMALL))
    shutil.copytree(prepared_stdlib.directory / "data", directory / "data")
    return directory


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path) -> Path:
    """A page's own copy of it."""
    return Path(shutil.copytree(checkout, tmp_path / "neox"))
