"""What comes with the tokens: labels, rewards, and the probabilities that a reference model gives them."""

from typing import Any

from neox_core.config.settings import Settings, setting


def _files(description: str) -> Any:
    return setting(None, description, origin="gpt-neox")


class LabelSettings(Settings, group="labels"):
    """Files beside the token files, one for one: what is to be predicted, how good it was, what a reference model thinks."""

    train_label_data_paths: list[str] | None = _files("Labels of train_data_paths, not shifted; no loss where negative")
    valid_label_data_paths: list[str] | None = _files("Labels of valid_data_paths")
    test_label_data_paths: list[str] | None = _files("Labels of test_data_paths")
    train_reward_data_paths: list[str] | None = _files("Rewards of the documents of train_data_paths")
    valid_reward_data_paths: list[str] | None = _files("Rewards of the documents of valid_data_paths")
    test_reward_data_paths: list[str] | None = _files("Rewards of the documents of test_data_paths")
    precompute_model_name: str | None = _files(
        "Name of a reference model whose log-probabilities are, or will be, in files beside the token files"
    )
