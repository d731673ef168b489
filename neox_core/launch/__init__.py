"""What a job is, who runs where, and how its processes are started and watched. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.hostfile import parse_hostfile as parse_hostfile
    from neox_core.launch.arrival import go_to_rank_0 as go_to_rank_0
    from neox_core.launch.breadcrumbs import LONG as LONG, Breadcrumb as Breadcrumb, Breadcrumbs as Breadcrumbs
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
    from neox_core.launch.meeting import Meeting as Meeting, Patience as Patience
    from neox_core.launch.open_files import allow_open_files as allow_open_files
    from neox_core.launch.reception import receive_ranks as receive_ranks
    from neox_core.launch.rendezvous import (
        Rendezvous as Rendezvous,
        free_port as free_port,
        port_is_free as port_is_free,
    )
    from neox_core.launch.supervisor import supervise as supervise
    from neox_core.launch.verdict import ELSEWHERE as ELSEWHERE, FailedElsewhere as FailedElsewhere, Verdict as Verdict
    from neox_core.launch.watch import ENDED as ENDED, Watch as Watch

__getattr__ = lazy_names(
    __name__,
    {
        "arrival": ("go_to_rank_0",),
        "breadcrumbs": ("LONG", "Breadcrumb", "Breadcrumbs"),
        "devices": ("device_kind", "local_slots", "usable_cores"),
        "hosts": ("is_this_machine", "parse_hostfile", "plan_world"),
        "job": ("Command", "Job", "LaunchPlan", "Launcher"),
        "meeting": ("Meeting", "Patience"),
        "open_files": ("allow_open_files",),
        "reception": ("receive_ranks",),
        "rendezvous": ("Rendezvous", "free_port", "port_is_free"),
        "supervisor": ("supervise",),
        "verdict": ("ELSEWHERE", "FailedElsewhere", "Verdict"),
        "watch": ("ENDED", "Watch"),
    },
)
