"""Requirements of the usual form are read without `packaging`; the answer is the same."""

from __future__ import annotations

import importlib.metadata

import pytest

from neox_core.plugins import requirements
from neox_core.plugins.requirements import check_requirement
from neox_core.plugins.states import State


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    versions = {"plain": "2.10.0", "early": "2.0rc1", "local": "2.1+cpu"}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    check_requirement.cache_clear()
    yield
    check_requirement.cache_clear()


@pytest.mark.parametrize("text", ["plain", "plain>=2.9", "plain>=2.10", "plain >= 2.10.0.0", "early>=1", "local>=2.1"])
def test_what_is_there_is_found(text):
    assert check_requirement(text).ok


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("plain>=2.10.1", State.INCOMPATIBLE),
        ("plain>=10", State.INCOMPATIBLE),
        ("plain<2", State.INCOMPATIBLE),
        ("early>=2.0", State.INCOMPATIBLE),
        ("absent>=1", State.MISSING),
        ("plain>>1", State.BROKEN),
    ],
)
def test_what_is_not_is_told(text, state):
    assert check_requirement(text).state is state


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("tensorboard>=2.14; extra == 'tensor-board'", "tensorboard>=2.14"),
        ('tensorboard>=2.14 ; extra == "Tensor_Board"', "tensorboard>=2.14"),
        ("tensorboard>=2.14; extra == 'dev'", None),
        ("torch>=2.6", None),
        ("x<2,>=1; (python_version > '3') and extra == 'tensor-board'", "x<2,>=1"),
        ("x>=1; python_version > '3'", None),
    ],
)
def test_lines_of_an_extra_are_told_from_others(line, found):
    assert requirements._of_extra(line, "tensor-board") == found
