"""Keys of Comet."""

from typing import Any

from neox_core.config import Settings, setting


def _option(default: Any, description: str) -> Any:
    return setting(default, description, origin="gpt-neox", changes="nothing", pending=True)


class CometSettings(Settings, group="comet"):
    """An experiment at Comet."""

    use_comet: bool | None = _option(None, "Whether to log there; none: where a key for it is found")
    comet_workspace: str | None = _option(None, "Workspace; none: the user's default")
    comet_project: str | None = _option(None, "Project; none: uncategorised")
    comet_experiment_name: str | None = _option(None, "Name of the experiment; none: one is made up")
    comet_tags: list[str] | None = _option(None, "Tags of the experiment")
    comet_others: dict[str, Any] | None = _option(None, "Further facts to keep with it, by name")
