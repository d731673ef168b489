"""The process `neox`, which `python -m neox_core` is too: one command, and what concerns a process as a whole."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run the command line; the exit code."""
    # Imports make many objects that stay: looking for garbage among them costs a tenth.
    gc.set_threshold(100_000, 50, 50)
    # pydantic would read the metadata of every installed distribution for plugins of its own, of which neox has none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from neox_core.cli.main import main as run

    code = run()
    gc.freeze()  # what is left goes with the process: taking it apart one by one costs a tenth too
    return code


if __name__ == "__main__":
    sys.exit(main())
