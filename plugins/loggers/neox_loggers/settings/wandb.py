"""Keys of Weights & Biases."""

from typing import Any

from neox_core.config import Settings, setting


def _option(default: Any, description: str) -> Any:
    return setting(default, description, origin="gpt-neox", changes="nothing", pending=True)


class WandbSettings(Settings, group="wandb"):
    """A run at Weights & Biases."""

    use_wandb: bool | None = _option(None, "Whether to log there; none: where a key for it is found")
    wandb_project: str = _option("neox", "Project")
    wandb_group: str | None = _option(None, "Group of runs")
    wandb_run_name: str | None = _option(None, "Name of the run; none: one is made up")
    wandb_team: str | None = _option(None, "Team; none: the user")
    wandb_host: str = _option("https://api.wandb.ai", "Address of the server")
    wandb_init_all_ranks: bool = _option(False, "Log from every rank, rather than from one on each host")
