"""The machines of a run, as its settings name them."""

from __future__ import annotations

import os
from pathlib import Path

from neox_core.config import Device, NeoXArgs, World
from neox_core.launch import plan_world


def find_world(args: NeoXArgs, device: Device | None = None) -> World:
    """Hosts, slots and device as the runner settings say; `DLTS_HOSTFILE` names a hostfile too.

    Args:
        args: the settings.
        device: in place of the one that they name.

    Raises:
        UserError: they ask for hosts, slots or a device that are not there.
    """
    hostfile = args.hostfile or os.environ.get("DLTS_HOSTFILE")
    return plan_world(
        hostfile=Path(hostfile) if hostfile else None,
        include=args.include,
        exclude=args.exclude,
        num_nodes=args.num_nodes,
        num_gpus=args.num_gpus,
        device=device or args.device,
    )
