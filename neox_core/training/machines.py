"""The machines of a run, as its settings name them, and where its ranks meet."""

from __future__ import annotations

import os
from pathlib import Path

from neox_core.config import Device, NeoXArgs, Topology, World
from neox_core.errors import Problem, SettingsError
from neox_core.launch import free_port, plan_world


def find_world(args: NeoXArgs, device: Device | None = None) -> World:
    """Hosts, slots and device as the runner settings say; a hostfile that `DLTS_HOSTFILE` names goes before theirs.

    Args:
        args: the settings.
        device: in place of the one that they name.

    Raises:
        SettingsError: they ask for hosts, slots or a device that are not there.
    """
    hostfile = os.environ.get("DLTS_HOSTFILE", args.hostfile)
    try:
        return plan_world(
            hostfile=Path(hostfile) if hostfile else None,
            include=args.include,
            exclude=args.exclude,
            num_nodes=args.num_nodes,
            num_gpus=args.num_gpus,
            device=device or args.device,
        )
    except SettingsError as error:
        raise SettingsError(_located(problem, args) for problem in error.problems) from error


def _located(problem: Problem, args: NeoXArgs) -> Problem:
    """The problem with the places where its keys were given; what is wrong within a hostfile has its place there."""
    places = [place for key in problem.keys if (place := args.origin(key)) is not None]
    return problem._replace(origin=places[0], others=tuple(places[1:])) if places else problem


def find_world_or_least(args: NeoXArgs, problems: list[Problem]) -> World:
    """The machines of a run; where they are wrong, that is added to `problems`, and the world is the least for the model."""
    try:
        return find_world(args)
    except SettingsError as error:
        problems += error.problems
        return World.local(least_ranks(args), args.device or "cpu")


def least_ranks(args: NeoXArgs) -> int:
    """The smallest number of ranks over which the model can be cut."""
    return Topology.of(args, data=1).size


def default_address(world: World) -> str:
    """Where rank 0 listens: this machine alone, or the first host."""
    return "127.0.0.1" if len(world.hosts) == 1 else world.hosts[0].name


def port(args: NeoXArgs, world: World) -> int:
    """The port that was asked for; otherwise a free one here, or the default where several hosts must know it."""
    if args.master_port and ("master_port" in args or len(world.hosts) > 1):
        return int(args.master_port)
    return free_port()
