"""The optimizer of a run, and what DeepSpeed says beside it."""

from __future__ import annotations

import logging

import pytest
import torch
from training_models import resolve

from neox_core.errors import UserError
from neox_core.training.deepspeed.making import import_deepspeed
from neox_core.training.engine import make_optimizer

AVERAGING = {"optimizer": {"type": "averaging", "params": {"lr": 0.1}}}


def groups():
    return [{"params": [torch.nn.Parameter(torch.ones(2))], "names": ["norm.weight"], "weight_decay": 0.0}]


def test_whole_parameters_and_weights_of_use_do_not_go_together_under_zero():
    assert make_optimizer(*resolve(**AVERAGING), groups()).defaults["lr"] == 0.1
    with pytest.raises(UserError, match=r"averaging needs whole parameters .* set zero_optimization\.stage: 0"):
        make_optimizer(*resolve(**AVERAGING, zero_optimization={"stage": 1}), groups())


def test_deepspeed_says_nothing_of_new_names_for_its_options(capfd):
    deepspeed = import_deepspeed("cpu")
    logger = deepspeed.utils.logger
    for config in ({"cpu_offload": False}, {"cpu_offload": True}):
        zero = deepspeed.runtime.zero.config.DeepSpeedZeroConfig(**config)
        assert (zero.offload_optimizer is not None) == config["cpu_offload"]
    logger.warning("something else")
    for handler in logger.handlers:
        handler.flush()
    said = "".join(capfd.readouterr())
    assert "deprecated" not in said
    records = [
        logging.makeLogRecord({"msg": text}) for text in ("Config parameter a is deprecated use b", "something else")
    ]
    assert [all(accept(record) for accept in logger.filters) for record in records] == [False, True]
