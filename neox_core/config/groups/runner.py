"""Machines, and how ranks are started on them."""

from typing import Annotated, Literal

from pydantic import Field

from neox_core.config.settings import Settings, setting


class RunnerSettings(Settings, group="runner"):
    """Machines, and how ranks are started on them."""

    launcher: str = setting("local", "Launcher, by name", origin="deepspeed-launcher", changes="nothing")
    hostfile: str | None = setting(
        None, "File with lines `host slots=N`", origin="deepspeed-launcher", changes="nothing"
    )
    include: str | None = setting(
        None, "Hosts and slots to use: `host:0,1@host`", origin="deepspeed-launcher", changes="nothing"
    )
    exclude: str | None = setting(None, "Hosts and slots not to use", origin="deepspeed-launcher", changes="nothing")
    num_nodes: Annotated[int, Field(gt=0)] | Literal[-1] = setting(
        -1, "Use so many hosts of the hostfile; -1: all", origin="deepspeed-launcher", changes="numerics"
    )
    num_gpus: int | None = setting(
        None, "Ranks on each host, on CPUs too", origin="deepspeed-launcher", changes="numerics", gt=0
    )
    global_num_gpus: int | None = setting(
        None,
        "Ranks in all, where settings are looked at without starting them; none: as many as there are",
        origin="gpt-neox",
        changes="nothing",
        gt=0,
    )
    master_addr: str | None = setting(None, "Address of rank 0", origin="deepspeed-launcher", changes="nothing")
    master_port: int = setting(
        29500, "Its port; 0: any free one", origin="deepspeed-launcher", changes="nothing", ge=0, le=65535
    )
    hang_timeout: float = setting(
        600.0,
        "Seconds without progress on any rank after which the run ends and says which rank holds up the others; three times as "
        "many until the first step is done; 0: never",
        changes="nothing",
        ge=0,
    )
    device: Literal["cpu", "cuda"] | None = setting(
        None, "Kind of device; none: GPUs where there are some", changes="speed"
    )
