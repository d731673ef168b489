"""Processes that die at a chosen line of what they do."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Lines:
    """Counts the lines of a package, neox_core.files and shutil in the block; can kill this process, or its group, at one."""

    def __init__(self, kill_at: int | None = None, package: str = "checkpoint", *, all_of_group: bool = False) -> None:
        self.count = 0
        self._kill_at = kill_at
        self._package = package
        self._all_of_group = all_of_group

    def __enter__(self) -> Lines:
        self._others = sys.gettrace()  # such as that of the coverage measurement
        sys.settrace(self._call)
        threading.settrace(self._call)  # of threads that begin now
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._others)
        threading.settrace(self._others)  # type: ignore[arg-type]

    def _call(self, frame: Any, event: str, argument: Any) -> Any:
        path = Path(frame.f_code.co_filename)
        return self._line if path.parent.name == self._package or path.name in ("files.py", "shutil.py") else None

    def _line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self._kill_at:
                os.kill(0 if self._all_of_group else os.getpid(), signal.SIGKILL)
        return self._line


def lines_of(work: Callable[[], Any]) -> int:
    """How many lines `work` runs."""
    with Lines() as lines:
        work()
    return lines.count
