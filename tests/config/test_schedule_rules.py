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
