"""Extensions of DeepSpeed, which are compiled at first use and kept for later ones."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

logger = logging.getLogger("neox")


def compiler() -> str:
    """The C++ compiler that builds them."""
    return os.environ.get("CXX", "g++")


def missing_tools() -> list[str]:
    """What is not there of the programs that build them."""
    return [tool for tool in (compiler(), "ninja") if shutil.which(tool) is None]


def came_with_deepspeed(name: str) -> bool:
    """Whether one was built when DeepSpeed was installed; says it without importing DeepSpeed."""
    deepspeed = find_spec("deepspeed")
    places = deepspeed.submodule_search_locations if deepspeed is not None else None
    return any(list(Path(place, "ops").glob(f"*/{name}_op*.so")) for place in places or ())


def is_built(name: str) -> bool:
    """Whether one was built before by this environment, whose headers its rules name."""
    import torch

    directory = _directory(name)
    rules = directory / "build.ninja"
    if not rules.exists() or str(Path(torch.__file__).parent) not in rules.read_text():
        return False
    plan = subprocess.run(["ninja", "-n"], cwd=directory, capture_output=True, text=True, check=False)
    return plan.returncode == 0 and "no work to do" in plan.stdout


@contextmanager
def built_by_one(name: str) -> Iterator[None]:
    """Let one process of this user build an extension, which says so, while others wait.

    torch sees to that by a file that the first one makes and removes, and for which the others wait: for ever, where the first one
    was killed. The kernel releases ours with the process that holds it, so that whoever holds it may remove torch's.
    """
    directory = _directory(name)
    with (directory / "neox.lock").open("w") as own:
        fcntl.flock(own, fcntl.LOCK_EX)
        (directory / "lock").unlink(missing_ok=True)
        if not came_with_deepspeed(name) and not missing_tools() and not is_built(name):
            logger.info(
                "compiling %s, an extension of DeepSpeed: it takes some minutes, once for each environment", name
            )
        yield


def _directory(name: str) -> Path:
    """Where torch builds one; it is made."""
    from torch.utils import cpp_extension  # some of what is asked here is asked without torch

    return Path(cpp_extension._get_build_directory(name, verbose=False))
