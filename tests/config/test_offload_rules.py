"""What ZeRO moves to the host: asked for by one name, at a stage that can."""

from __future__ import annotations

import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())
HOST = {"device": "cpu"}


def resolve(stage, **zero):
    given = {
        **MODEL,
        "data_path": "data/tokens",
        "optimizer_type": "sgd",
        "zero_optimization": {"stage": stage, **zero},
    }
    return NeoXArgs.from_dict(given, plugins=PLUGINS).resolve(World.local(1))


@pytest.mark.parametrize(
    ("older", "part"), [("cpu_offload", "offload_optimizer"), ("cpu_offload_param", "offload_param")]
)
def test_an_older_name_beside_the_own_one(older, part):
    assert resolve(3, **{older: False, part: HOST}).deepspeed["zero_optimization"] == {"stage": 3, part: HOST}
    assert resolve(3, **{older: False}).deepspeed["zero_optimization"] == {"stage": 3, older: False}
    with pytest.raises(
        SettingsError, match=rf"{older} is the older name of {part}, and both are given .leave {older} out"
    ):
        resolve(3, **{older: True, part: HOST})


@pytest.mark.parametrize(
    ("stage", "zero", "told"),
    [
        (0, {"offload_optimizer": HOST}, "offload_optimizer: no effect: it is for stages 1 to 3, and stage is 0"),
        (0, {"cpu_offload": True}, "cpu_offload: no effect: it is for stages 1 to 3, and stage is 0"),
        (1, {"offload_param": HOST}, "offload_param: no effect: it is for stage 3, and stage is 1"),
        (2, {"cpu_offload_param": True}, "cpu_offload_param: no effect: it is for stage 3, and stage is 2"),
        (1, {"offload_optimizer": HOST}, None),
        (3, {"offload_param": HOST, "offload_optimizer": HOST}, None),
        (0, {"cpu_offload": False}, None),
    ],
)
def test_what_its_stage_does_not_do_is_told(stage, zero, told):
    assert [notice.message for notice in resolve(stage, **zero).notices] == ([] if told is None else [told])
