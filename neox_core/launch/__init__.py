"""What a job is, who runs where, and how its processes are started and watched. Nothing here imports torch."""

from __future__ import annotations

from neox_core.launch.devices import device_kind, local_slots, usable_cores
from neox_core.launch.hosts import is_this_machine, parse_hostfile, plan_world
from neox_core.launch.job import Command, Job, Launcher, LaunchPlan
from neox_core.launch.rendezvous import Rendezvous, free_port, port_is_free
from neox_core.launch.supervisor import supervise

__all__ = [
    "Command",
    "Job",
    "LaunchPlan",
    "Launcher",
    "Rendezvous",
    "device_kind",
    "free_port",
    "is_this_machine",
    "local_slots",
    "parse_hostfile",
    "plan_world",
    "port_is_free",
    "supervise",
    "usable_cores",
]
