"""How many files and connections this process may have open."""

from __future__ import annotations

import resource


def allow_open_files(number: int) -> None:
    """Let this process have so many files and connections open, or as many as it may allow itself; never fewer than before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = number if hard == unlimited else min(number, hard)
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
