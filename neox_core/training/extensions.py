"""Extensions of DeepSpeed, which are compiled at first use and kept for later ones."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.utils import cpp_extension


@contextmanager
def built_by_one(name: str) -> Iterator[None]:
    """Let one process of this user build an extension while others wait.

    torch sees to that by a file that the first one makes and removes, and for which the others wait: for ever, where the first one
    was killed. The kernel releases ours with the process that holds it, so that whoever holds it may remove torch's.
    """
    directory = Path(cpp_extension._get_build_directory(name, verbose=False))
    with (directory / "neox.lock").open("w") as own:
        fcntl.flock(own, fcntl.LOCK_EX)
        (directory / "lock").unlink(missing_ok=True)
        yield
