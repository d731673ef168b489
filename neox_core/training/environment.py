"""With what a run was made: versions, machine, and the state of the user's git repository."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

FILE = "environment.json"
"""Its name in a checkpoint."""

PACKAGES = ("neox-toolkit", "torch", "deepspeed", "numpy", "safetensors", "tokenizers")

GIT_LIMIT = 10.0
"""Seconds that git may take."""


def environment(world_size: int, device: str, directory: Path) -> dict[str, Any]:
    """Plain data; nothing in it is secret, and nothing of it is needed to load a checkpoint.

    Args:
        world_size: of the run.
        device: of the run.
        directory: that the user is in.
    """
    return {
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "ranks": world_size,
        "threads": torch.get_num_threads(),
        "git": git_state(directory),
    }


def git_state(directory: Path) -> dict[str, Any] | None:
    """The commit of the repository that a directory belongs to, and whether files differ from it; None: there is none, or no git."""
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed": None if changes is None else bool(changes)}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=directory,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=GIT_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
