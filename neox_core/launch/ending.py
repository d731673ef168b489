"""How the process of a rank ends."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn


def end_with(main: Callable[[], int]) -> NoReturn:
    """Run `main`, then end this process as `sys.exit` does, but for taking the interpreter apart.

    Threads of gloo outlive `destroy_process_group` as long as anything refers to a group, as engines of DeepSpeed do to the end. The
    one that lets go of the last collective wants the interpreter's lock, and where the interpreter is being taken apart, that aborts
    the process (SIGABRT, "terminate called without an active exception") after all has gone well.

    Threads are waited for and `atexit` functions run as ever, but for those that were registered before this call. Call it once, at
    the end of a main program.

    Args:
        main: gives the exit code, or raises SystemExit; any other exception is shown, and the code is 1.
    """
    ending = _Ending()
    atexit.register(ending.leave)  # before all that `main` imports, and so after it
    try:
        ending.code = main()
    except SystemExit as error:
        ending.code = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise
    except KeyboardInterrupt:
        ending.code = 128 + signal.SIGINT
        raise
    sys.exit(ending.code)


class _Ending:
    def __init__(self) -> None:
        self.code = 1

    def leave(self) -> None:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(self.code)
