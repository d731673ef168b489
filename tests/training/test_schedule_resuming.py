"""Which learning rates a resumed run has: those of the run that it goes on with, unless it says otherwise."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from plugin_distributions import neox
from plugin_runs import write_config, write_data

from neox_core.checkpoint import SoloGroup, save
from neox_core.checkpoint.manifest import Manifest
from neox_core.config import NeoXArgs, World, dump_yaml
from neox_core.config.loading import read_file
from neox_core.errors import UserError
from neox_core.plugins import PluginManager
from neox_core.training.resuming import checkpoint_to_resume, saved_settings
from neox_core.training.schedule import ScheduleTerms, make_schedule
from neox_core.training.schedule_resuming import saved_terms, with_saved_schedule

FASTER = {"type": "adamw", "params": {"lr": 0.02}}
ONE_BIT = {"type": "OneBitAdam", "params": {"lr": 0.02}}


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Settings of the tiny configuration with changes, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    return lambda **changes: NeoXArgs(read_file(write_config(tmp_path, **changes)), PluginManager())


def resolved(args):
    return args.resolve(World.local())


@pytest.fixture
def saved(configured, tmp_path):
    """`saved(**changes)`: a checkpoint of a run with these settings."""

    def write(applied=3, **changes):
        run = resolved(configured(**changes))
        save(
            tmp_path / "saved",
            iteration=3,
            fragments=[],
            state={"padded_vocab_size": run.padded_vocab_size, "applied": applied},
            files={"settings.yml": dump_yaml(run.values)},
            random_state=None,
            group=SoloGroup(),
        )
        return run

    return write


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ({}, {"optimizer": FASTER}, "optimizer.params.lr 0.01 (now 0.02)"),
        ({}, {"min_lr": 0.001}, "min_lr 0.0 (now 0.001)"),
        ({}, {"warmup": 0.5}, "steps of warm-up 0.0 (now 3.0)"),
        ({}, {"lr_decay_style": "cosine"}, "lr_decay_style linear (now cosine)"),
        ({}, {"compat": "gpt-neox"}, "lr_semantics clamped (now neox)"),
        ({}, {"train_iters": 12}, "last step of the decay 6 (now 12)"),
        ({"lr_decay_style": "constant", "warmup": 0.5}, {"train_iters": 12}, "steps of warm-up 3.0 (now 6.0)"),
        (
            {"lr_decay_style": "constant", "warmup": 0.25},
            {"train_iters": 12},
            "steps of warm-up 1.5 (now 3.0)",
        ),  # of which the third step, the last one that was taken, is the last
        ({"lr_decay_style": "wsd"}, {"lr_wsd_decay_fraction": 0.5}, "steps of the final decay 0.6"),
        ({}, {"scheduler": {"type": "WarmupLR"}}, "scheduler null (now {type: 'WarmupLR'})"),
        (
            {"lr_decay_style": "cosine"},
            {"optimizer": FASTER, "min_lr": 0.001},
            "optimizer.params.lr 0.01 (now 0.02), min_lr 0.0 (now 0.001). Use the same settings, or",
        ),
    ],
)
def test_another_schedule_is_refused_with_all_differences(saved, configured, before, now, named):
    saved(**before)
    with pytest.raises(UserError) as caught:
        checkpoint_to_resume(resolved(configured(load="saved", **before | now)), print)
    assert named in str(caught.value)
    assert "override_lr_scheduler: true takes that of your settings" in str(caught.value)
    assert "use_checkpoint_lr_scheduler: true that of the checkpoint" in str(caught.value)


def test_the_warm_up_is_over_when_so_many_steps_were_applied(saved, configured):
    """Steps that are skipped, as fp16's first ones are, do not count."""
    saved(lr_decay_style="constant", warmup=0.2, applied=1)
    with pytest.raises(UserError, match=r"steps of warm-up 1\.\d+ \(now 2\.\d+\)"):
        checkpoint_to_resume(
            resolved(configured(load="saved", lr_decay_style="constant", warmup=0.2, train_iters=12)), print
        )


def test_before_the_first_step_no_schedule_was_followed(saved, configured):
    saved(applied=0)
    assert checkpoint_to_resume(resolved(configured(load="saved", min_lr=0.001)), print).path is not None


def test_a_longer_run_is_told_how_to_keep_its_decay(saved, configured):
    saved()
    with pytest.raises(UserError, match=re.escape("(lr_decay_iters: 6 keeps the decay as it was; ")):
        checkpoint_to_resume(resolved(configured(load="saved", train_iters=12)), print)
    assert checkpoint_to_resume(resolved(configured(load="saved", train_iters=12, lr_decay_iters=6)), print)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {}),
        ({}, {"lr_decay_iters": 6}),
        ({"lr_decay_style": "cosine"}, {"lr_decay_style": "Cosine"}),
        ({}, {"lr_semantics": "clamped"}),
        ({"compat": "gpt-neox"}, {"compat": "gpt-neox", "lr_semantics": "neox"}),
        ({"lr_decay_style": "constant", "warmup": 0.0}, {"min_lr": 0.001, "train_iters": 12}),
        ({"lr_decay_style": "constant"}, {"train_iters": 12}),  # of less than a step, both have no warm-up
        ({"lr_decay_style": "constant", "warmup": 0.2}, {"train_iters": 12}),  # 1.2 and 2.4 steps, after step 3
        ({"scheduler": {"type": "WarmupLR"}}, {"min_lr": 0.001, "train_iters": 12}),
    ],
)
def test_settings_that_mean_the_same_rates_are_no_difference(saved, configured, before, now):
    saved(**before)
    assert checkpoint_to_resume(resolved(configured(load="saved", **before | now)), print) is not None


@pytest.mark.parametrize("key", ["override_lr_scheduler", "use_checkpoint_lr_scheduler"])
def test_the_choice_is_told_where_it_matters(saved, configured, key):
    saved()
    notices = []
    checkpoint_to_resume(resolved(configured(load="saved", **{key: True})), notices.append)
    assert notices == []
    checkpoint_to_resume(resolved(configured(load="saved", optimizer=FASTER, **{key: True})), notices.append)
    (notice,) = notices
    assert notice.startswith(key)
    assert "optimizer.params.lr 0.01 (now 0.02)" in notice


@pytest.mark.parametrize(
    "before",
    [
        {},
        {"lr_decay_style": "cosine", "compat": "gpt-neox", "min_lr": 0.001},
        {"lr_decay_fraction": 0.5, "lr_semantics": "neox_2021"},
        {"lr_decay_style": "wsd", "lr_wsd_decay_style": "1-sqrt", "warmup": 0.2},
        {"lr_decay_style": "wsd", "lr_wsd_decay_iters": 2},
        {"scheduler": {"type": "WarmupCosineLR", "params": {"total_num_steps": 9, "warmup_num_steps": 3}}},
        {"optimizer": ONE_BIT, "compat": "gpt-neox"},
    ],
)
def test_the_checkpoints_schedule_can_be_followed_whatever_else_is_given(saved, configured, tmp_path, before):
    was = saved(**before)
    path = tmp_path / "saved" / "global_step3"
    mine = configured(
        train_iters=40,
        optimizer={"type": "sgd", "params": {"lr": 0.5}},
        warmup=0.3,
        lr_wsd_decay_iters=4,
        lr_decay_iters=30,
    )
    taken = resolved(with_saved_schedule(mine, path, saved_settings(path, Manifest.read(path))))
    plugins = PluginManager()
    ours, theirs = make_schedule(taken, plugins), make_schedule(was, plugins)
    assert [ours(steps) for steps in range(40)] == [theirs(steps) for steps in range(40)]
    assert taken.optimizer.name == "sgd"
    assert taken.train_iters == 40
    assert str(taken.origin("optimizer")) == str(path / "settings.yml")


def rates(directory):
    """The learning rate of each step, by iteration."""
    (metrics,) = directory.glob("runs/*/*/metrics.jsonl")
    events = map(json.loads, metrics.read_text().splitlines())
    return {event["iteration"]: event["learning_rate"] for event in events if event["event"] == "step"}


@pytest.mark.slow
def test_a_resumed_run_has_the_rates_that_it_is_told_to_have(tmp_path):
    write_data(tmp_path)
    given = {"save": "saved", "load": "saved", "lr_decay_style": "cosine", "log_interval": 1, "eval_iters": 0}
    config = write_config(tmp_path, **given)
    whole = make_schedule(NeoXArgs(read_file(config)).resolve(World.local()), PluginManager())

    assert neox("train", "tiny.yml", "train_iters=3", "lr_decay_iters=6", cwd=tmp_path, timeout=120).returncode == 0
    assert rates(tmp_path) == {step: whole(step - 1) for step in (1, 2, 3)}
    shutil.copytree(tmp_path / "saved", tmp_path / "kept")

    def resume(*words):
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        shutil.rmtree(tmp_path / "saved")
        shutil.copytree(tmp_path / "kept", tmp_path / "saved")
        return neox("train", "tiny.yml", *words, cwd=tmp_path, timeout=120)

    refused = resume("lr=0.02", "train_iters=5")
    assert refused.returncode == 2
    assert "optimizer.params.lr 0.01 (now 0.02), last step of the decay 6 (now 5)" in refused.stderr

    done = resume("lr=0.02", "train_iters=5", "use_checkpoint_lr_scheduler=true")
    assert done.returncode == 0, done.stderr
    assert rates(tmp_path) == {step: whole(step - 1) for step in (4, 5)}

    done = resume("lr=0.02", "train_iters=5", "override_lr_scheduler=true")
    assert done.returncode == 0, done.stderr
    changed = {"train_iters": 5, "optimizer": FASTER}
    mine = make_schedule(
        NeoXArgs(read_file(write_config(tmp_path, **given, **changed))).resolve(World.local()), PluginManager()
    )
    assert rates(tmp_path) == {step: mine(step - 1) for step in (4, 5)}


def test_terms_of_a_checkpoint_are_those_of_its_run(saved, tmp_path):
    run = saved(optimizer=ONE_BIT)
    path = tmp_path / "saved" / "global_step3"
    assert saved_terms(saved_settings(path, Manifest.read(path))) == ScheduleTerms.of(run)
