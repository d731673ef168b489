"""Pairs of a good and a bad answer."""

from typing import Any

from neox_core.config.settings import Settings, setting


def _files(description: str) -> Any:
    return setting(None, description, origin="gpt-neox")


class PairSettings(Settings, group="pairs"):
    """Token files of pairs, for `dataset_impl: pairwise`: the n-th document of the one belongs to the n-th of the other."""

    pos_train_data_paths: list[str] | None = _files("Good answers for training, by prefix")
    neg_train_data_paths: list[str] | None = _files("Bad answers for training")
    pos_valid_data_paths: list[str] | None = _files("Good answers for validation")
    neg_valid_data_paths: list[str] | None = _files("Bad answers for validation")
    pos_test_data_paths: list[str] | None = _files("Good answers for testing")
    neg_test_data_paths: list[str] | None = _files("Bad answers for testing")
    pos_train_label_data_paths: list[str] | None = _files("Labels of pos_train_data_paths, not shifted")
    neg_train_label_data_paths: list[str] | None = _files("Labels of neg_train_data_paths")
    pos_valid_label_data_paths: list[str] | None = _files("Labels of pos_valid_data_paths")
    neg_valid_label_data_paths: list[str] | None = _files("Labels of neg_valid_data_paths")
    pos_test_label_data_paths: list[str] | None = _files("Labels of pos_test_data_paths")
    neg_test_label_data_paths: list[str] | None = _files("Labels of neg_test_data_paths")
