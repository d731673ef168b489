"""The process of one rank of a training run: `python -m neox_core.training.worker HANDOVER`, started by a launcher."""

from __future__ import annotations

import gc
import os
import signal
import sys

from neox_core.launch.ending import end_with


def main() -> int:
    """Run the rank to its end; the exit code."""
    # Until there is something to save, Ctrl-C ends a rank as SIGTERM does: at once, and without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What is imported and made until the first step stays: looking for garbage among it costs a tenth of the start.
    gc.disable()
    # pydantic would read the metadata of every installed distribution for plugins of its own, of which neox has none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from neox_core.training.one_rank import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    end_with(main)
