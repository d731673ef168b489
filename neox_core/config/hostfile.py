"""Hostfiles: the hosts of a cluster, and how many slots for ranks each has."""

from __future__ import annotations

import re
from pathlib import Path

from neox_core.config.host_filters import Pool
from neox_core.config.world import Host
from neox_core.errors import UserError

_LINE = re.compile(r"(?P<name>\S+)\s+slots=(?P<slots>\d+)(\s.*)?")


def parse_hostfile(text: str, source: str) -> tuple[Host, ...]:
    """The hosts of a hostfile, in its order.

    A line is `name slots=N`, which further words may follow; blank lines and lines that begin with `#` are ignored.
    UserError, with `source` and the line: anything else, N of 0, a host named twice, or no host at all.
    """
    hosts: dict[str, Host] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith("#"):
            continue
        host = _parse_line(line, f"{source}:{number}")
        if host.name in hosts:
            raise UserError(
                f"{source}:{number}: {host.name} is listed twice; give each host one line with all its slots"
            )
        hosts[host.name] = host
    if not hosts:
        raise UserError(f"{source}: no host is listed; write a line `name slots=N` for each host")
    return tuple(hosts.values())


def read_hostfile(hostfile: Path) -> Pool:
    """The hosts of a hostfile and their slots. UserError: it cannot be read, or as `parse_hostfile` has it."""
    try:
        text = hostfile.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise UserError(
            f"hostfile: {hostfile} cannot be read ({reason}); name a file with lines `name slots=N`"
        ) from error
    return {host.name: tuple(range(host.slots)) for host in parse_hostfile(text, str(hostfile))}


def _parse_line(line: str, where: str) -> Host:
    match = _LINE.fullmatch(line)
    if match is None:
        raise UserError(f"{where}: {line!r} is not a host; write `name slots=N`, for example `worker-1 slots=8`")
    slots = int(match["slots"])
    if slots < 1:
        raise UserError(f"{where}: {match['name']} has slots=0; give at least 1, or remove the line")
    return Host(match["name"], slots)
