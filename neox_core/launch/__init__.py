"""What a job is, who runs where, and how its processes are started and watched. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.hostfile import parse_hostfile as parse_hostfile
    from neox_core.launch.devices import (
        device_kind as device_kind,
        local_slots as local_slots,
        usable_cores as usable_cores,
    )
    from neox_core.launch.hosts import (
        is_this_machine as is_this_machine,
        plan_world as plan_world,
    )
    from neox_core.launch.job import Command as Command, Job as Job, Launcher as Launcher, LaunchPlan as LaunchPlan
    from neox_core.launch.rendezvous import (
        Rendezvous as Rendezvous,
        free_port as free_port,
        port_is_free as port_is_free,
    )
    from neox_core.launch.supervisor import supervise as supervise

__getattr__ = lazy_names(
    __name__,
    {
        "devices": ("device_kind", "local_slots", "usable_cores"),
        "hosts": ("is_this_machine", "parse_hostfile", "plan_world"),
        "job": ("Command", "Job", "LaunchPlan", "Launcher"),
        "rendezvous": ("Rendezvous", "free_port", "port_is_free"),
        "supervisor": ("supervise",),
    },
)
