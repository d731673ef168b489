"""Samples that a server makes while a run goes on."""

from typing import Annotated

from pydantic import Field

from neox_core.config.settings import Settings, setting

Port = Annotated[int, Field(gt=0, le=65535)]


class OnlineSettings(Settings, group="online"):
    """Servers of samples, for `dataset_impl: online`."""

    online_dataserver_ips: str | list[str] = setting(
        "localhost", "Address of the server, or one for each data-parallel rank", origin="gpt-neox"
    )
    online_dataserver_ports: Port | list[Port] = setting(
        10000, "Its port, or one for each data-parallel rank", origin="gpt-neox"
    )
    reinforce_leave_one_out: bool = setting(
        False,
        "Compare a reward with those of the other answers to the prompt, rather than of past ones",
        origin="gpt-neox",
    )
    online_dataserver_timeout: float = setting(
        600.0, "Seconds that a batch may take, waiting for the server included", changes="nothing", gt=0
    )
