"""Who runs where: hostfiles, and the world that they and the settings `include`, `exclude`, `num_nodes`, `num_gpus` make."""

from __future__ import annotations

import socket
from pathlib import Path

from neox_core.config.host_filters import Pool, select
from neox_core.config.hostfile import parse_hostfile, read_hostfile  # noqa: F401 - `launch` offers parse_hostfile too
from neox_core.config.world import Device, Host, World
from neox_core.errors import Problem, SettingsError
from neox_core.launch.devices import device_kind, local_slots

_UNIT = {"cpu": "CPU core", "cuda": "GPU"}


def plan_world(
    *,
    hostfile: Path | None = None,
    include: str | None = None,
    exclude: str | None = None,
    num_nodes: int | None = None,
    num_gpus: int | None = None,
    device: Device | None = None,
) -> World:
    """The ranks of a run: the filtered hosts, of them the first `num_nodes`, on each of these `num_gpus` ranks.

    Without a hostfile the only host is this machine, with as many slots as it has GPUs or usable CPU cores; unless told
    otherwise it gets a rank for each GPU, or a single rank on CPUs. The slots that a hostfile declares are believed. None (for
    `num_nodes` also -1) stands for all there are, and for the device found here. SettingsError, with the keys: the settings
    ask for hosts, slots or a device that are not there; a limitation where another machine may have them.
    """
    device = device or device_kind()
    pool = _selected(_pool(hostfile, device), include, exclude, hostfile)
    pool = _first_hosts(pool, num_nodes, hostfile)
    if num_gpus is None and hostfile is None and device == "cpu" and not include:
        num_gpus = 1
    pool = _first_slots(pool, num_gpus, device, hostfile)
    if device == "cuda":
        _check_contiguous(pool, "include" if include else "exclude", hostfile)
    return World(tuple(Host(name, len(slots)) for name, slots in pool.items()), device)


def is_this_machine(host: str) -> bool:
    """Whether a host's name is this machine's own, as far as can be told without asking the network."""
    own = socket.gethostname()
    return host in {"localhost", "127.0.0.1", "::1", own, own.partition(".")[0]}


def _pool(hostfile: Path | None, device: Device) -> Pool:
    if hostfile is not None:
        return read_hostfile(hostfile)
    slots = local_slots(device)
    if slots == 0:
        message = "cuda: no NVIDIA GPU is visible on this machine; use `cpu`, or look at CUDA_VISIBLE_DEVICES"
        raise _refusal("device", message, limitation=True)
    return {"localhost": tuple(range(slots))}


def _selected(pool: Pool, include: str | None, exclude: str | None, hostfile: Path | None) -> Pool:
    """The filtered pool. Without a hostfile it is this machine's: what is missing there may be where the run will be."""
    try:
        return select(pool, include=include, exclude=exclude)
    except SettingsError as error:
        if hostfile is not None or (include and exclude):
            raise
        raise SettingsError(problem._replace(limitation=True) for problem in error.problems) from error


def _first_hosts(pool: Pool, num_nodes: int | None, hostfile: Path | None) -> Pool:
    if num_nodes is None or num_nodes == -1:
        return pool
    if 1 <= num_nodes <= len(pool):
        return dict(list(pool.items())[:num_nodes])
    remedy = "" if hostfile else ", or name a hostfile that lists the others"
    known = f"{len(pool)} known: {', '.join(pool)}"
    message = f"{num_nodes}: the number of hosts must be 1 to {len(pool)} ({known}); change it{remedy}"
    raise _refusal("num_nodes", message, limitation=hostfile is None and num_nodes > 0)


def _first_slots(pool: Pool, num_gpus: int | None, device: Device, hostfile: Path | None) -> Pool:
    if num_gpus is None:
        return pool
    if num_gpus < 1:
        raise _refusal("num_gpus", f"{num_gpus}: each host runs at least 1 rank; leave it out for the default")
    for host, slots in pool.items():
        if num_gpus > len(slots):
            message = _too_many(host, len(slots), num_gpus, device, hostfile)
            raise _refusal("num_gpus", message, limitation=hostfile is None)
    return {host: slots[:num_gpus] for host, slots in pool.items()}


def _too_many(host: str, slots: int, num_gpus: int, device: Device, hostfile: Path | None) -> str:
    line = f"the line `{host} slots={num_gpus}`"
    if hostfile:
        source, way = str(hostfile), f"declare more there with {line}"
    else:
        source, way = _count(slots, _UNIT[device]), f"write {line} to a file and set hostfile to its path"
    return f"{num_gpus}: {host} has {_count(slots, 'slot')} ({source}); use at most {slots}, or {way}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _check_contiguous(pool: Pool, key: str, hostfile: Path | None) -> None:
    """A rank takes the GPU of its local number, so that a choice among the GPUs has to be made before they are counted."""
    for host, slots in pool.items():
        if slots != tuple(range(len(slots))):
            wanted = ",".join(map(str, slots))
            message = (
                f"on {host} it leaves the GPUs {wanted}, but ranks use GPUs from 0 on; set "
                f"CUDA_VISIBLE_DEVICES={wanted} there and drop the slots"
            )
            raise _refusal(key, message, limitation=key == "exclude" and hostfile is None)


def _refusal(key: str, message: str, *, limitation: bool = False) -> SettingsError:
    return SettingsError([Problem(keys=(key,), message=message, limitation=limitation)])
