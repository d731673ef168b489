"""Keys of the schedule that contradict each other, or have no effect."""

from __future__ import annotations

import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.errors import SettingsError

RUN = {**MODEL, "train_iters": 100, "train_batch_size": 4, "data_path": "data/tokens"}


def resolve(**changes):
    return NeoXArgs.from_dict({**RUN, **changes}).resolve(World.local())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"override_lr_scheduler": True, "use_checkpoint_lr_scheduler": True},
            "both are true, and contradict each other",
        ),
        ({"lr_semantics": "neox_2021", "lr_decay_style": "wsd"}, "GPT-NeoX has no schedule 'wsd'"),
        (
            {"lr_decay_style": "wsd", "lr_wsd_decay_iters": 95, "warmup": 0.1},
            "a warm-up of 10 steps and a final decay of 95 do not fit into 100 steps",
        ),
        (
            {"lr_decay_style": "wsd", "lr_wsd_decay_fraction": 0.6, "warmup": 0.5},
            "a final decay of 60 do not fit into 100",
        ),
        ({"lr_wsd_decay_style": "sqrt"}, "'sqrt' is not one of linear, cosine, 1-sqrt"),
        ({"lr_semantics": "neox_v1"}, "'neox_v1' is not one of clamped, neox, neox_2023, neox_2021"),
    ],
)
def test_contradictions_are_refused(changes, sentence):
    with pytest.raises(SettingsError) as caught:
        resolve(**changes)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lr_wsd_decay_iters": 5}, "lr_wsd_decay_iters: has no effect without lr_decay_style: wsd"),
        (
            {"lr_decay_style": "wsd", "lr_wsd_decay_iters": 5, "lr_wsd_decay_fraction": 0.2},
            "lr_wsd_decay_fraction: is not used: lr_wsd_decay_iters is 5",
        ),
        (
            {"scheduler": {"type": "WarmupLR"}, "min_lr": 0.0, "warmup": 0.1},
            "min_lr, warmup: have no effect: the rate follows scheduler",
        ),
    ],
)
def test_what_has_no_effect_is_told(changes, sentence):
    (notice,) = resolve(**changes).notices
    assert sentence in str(notice)


def test_what_fits_is_told_nothing_of():
    full = {"lr_decay_style": "wsd", "lr_wsd_decay_fraction": 0.9, "warmup": 0.1}
    assert resolve(**full).notices == ()
    assert resolve(lr_semantics="neox_2023", override_lr_scheduler=True).notices == ()


def test_gpt_neoxs_warm_up_of_less_than_a_step_is_told_where_it_is_followed():
    short = {"warmup": 0.002, "compat": "gpt-neox"}
    (notice,) = resolve(**short).notices
    assert "warmup: comes to 0.2 steps: the first step has 5 times the peak rate" in str(notice)
    assert "lr_semantics: clamped" in str(notice)
    one_bit = {"optimizer": {"type": "neox-toolkit/OneBitAdam"}}
    for other in (
        {"warmup": 0.01},
        {"warmup": 0.0},
        {"compat": None},
        {"lr_semantics": "clamped"},
        {"lr_semantics": "neox_2023"},
        {"lr_decay_style": "stairs"},
        one_bit,
    ):
        assert not [notice for notice in resolve(**{**short, **other}).notices if "times the peak" in str(notice)], (
            other
        )
    (notice,) = resolve(**short, scheduler={"type": "WarmupLR"}).notices
    assert "times the peak" not in str(notice)
