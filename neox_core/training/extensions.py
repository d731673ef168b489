"""Extensions of DeepSpeed, which are compiled at first use and kept for later ones."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


def compiler() -> str:
    """The C++ compiler that builds them."""
    return os.environ.get("CXX", "g++")


def missing_tools() -> list[str]:
    """What is not there of the programs that build them."""
    return [tool for tool in (compiler(), "ninja") if shutil.which(tool) is None]


def came_with_deepspeed(package: str, operator: str) -> bool:
    """Whether one was built when DeepSpeed was installed; says it without importing DeepSpeed.

    Args:
        package: that has it, below `deepspeed.ops`.
        operator: its module there.
    """
    deepspeed = find_spec("deepspeed")
    places = deepspeed.submodule_search_locations if deepspeed is not None else None
    return any(list(Path(place, "ops", package).glob(f"{operator}*.so")) for place in places or ())


@contextmanager
def built_by_one(name: str) -> Iterator[None]:
    """Let one process of this user build an extension while others wait.

    torch sees to that by a file that the first one makes and removes, and for which the others wait: for ever, where the first one
    was killed. The kernel releases ours with the process that holds it, so that whoever holds it may remove torch's.
    """
    from torch.utils import cpp_extension  # what is asked above is asked without torch too

    directory = Path(cpp_extension._get_build_directory(name, verbose=False))
    with (directory / "neox.lock").open("w") as own:
        fcntl.flock(own, fcntl.LOCK_EX)
        (directory / "lock").unlink(missing_ok=True)
        yield
