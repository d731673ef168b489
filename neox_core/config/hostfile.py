"""Hostfiles: the hosts of a cluster, and how many slots for ranks each has."""

from __future__ import annotations

import re
from pathlib import Path

from neox_core.config.host_filters import Pool
from neox_core.config.world import Host
from neox_core.errors import Origin, Problem, SettingsError

_LINE = re.compile(r"(?P<name>\S+)\s+slots=(?P<slots>\d+)(\s.*)?")


def parse_hostfile(text: str, source: str) -> tuple[Host, ...]:
    """The hosts of a hostfile, in its order.

    A line is `name slots=N`, which further words may follow; blank lines and lines that begin with `#` are ignored.
    SettingsError, with `source` and the line: anything else, N of 0, a host named twice, or no host at all.
    """
    hosts: dict[str, Host] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith("#"):
            continue
        origin = Origin(source=source, line=number, text=line)
        host = _parse_line(line, origin)
        if host.name in hosts:
            raise _refusal(origin, f"{host.name} is listed twice; give each host one line with all its slots")
        hosts[host.name] = host
    if not hosts:
        raise _refusal(Origin(source=source), "no host is listed; write a line `name slots=N` for each host")
    return tuple(hosts.values())


def read_hostfile(hostfile: Path) -> Pool:
    """The hosts of a hostfile and their slots.

    SettingsError: it cannot be opened, a limitation as it may be there where the run will be; or as `parse_hostfile` has it.
    """
    try:
        text = hostfile.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        elsewhere = isinstance(error, OSError)
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        message = f"{hostfile} cannot be read ({reason}); name a file with lines `name slots=N`"
        raise SettingsError([Problem(keys=("hostfile",), message=message, limitation=elsewhere)]) from error
    return {host.name: tuple(range(host.slots)) for host in parse_hostfile(text, str(hostfile))}


def _parse_line(line: str, origin: Origin) -> Host:
    match = _LINE.fullmatch(line)
    if match is None:
        raise _refusal(origin, f"{line!r} is not a host; write `name slots=N`, for example `worker-1 slots=8`")
    slots = int(match["slots"])
    if slots < 1:
        raise _refusal(origin, f"{match['name']} has slots=0; give at least 1, or remove the line")
    return Host(match["name"], slots)


def _refusal(origin: Origin, message: str) -> SettingsError:
    return SettingsError([Problem(message=message, origin=origin)])
