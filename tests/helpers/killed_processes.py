"""Processes that are killed at a chosen operation on files."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

OPERATIONS = {"open", "os.rename", "os.remove", "os.truncate"}


def killed_at(operation: int, work: Callable[[], object]) -> bool:
    """Do `work` in a forked process that gets SIGKILL before its operation number `operation`; False when it came to its end."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            countdown = iter(range(operation, -1, -1))
            sys.addaudithook(lambda event, _: _count(event, countdown))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(process, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def _count(event: str, countdown: Iterator[int]) -> None:
    if event in OPERATIONS and next(countdown, 0) == 0:
        os.kill(os.getpid(), signal.SIGKILL)
