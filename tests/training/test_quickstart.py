"""The shipped quickstart, as a user runs it: real text, the command line alone, and what it leaves behind."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from plugin_distributions import neox
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_models import plugins
from whole_matrix import WHOLE

from neox_core.data.tokenizers import load_tokenizer
from neox_core.plugins import State

pytestmark = pytest.mark.slow

PRESET = Path(__file__).resolve().parents[2] / "configs" / "quickstart.yml"
STEPS, EVAL_INTERVAL = 30, 10
SHORT = (f"train_iters={STEPS}", f"eval_interval={EVAL_INTERVAL}", "eval_iters=8")


@pytest.fixture(scope="session")
def prepared_data(prepared_stdlib):
    return prepared_stdlib.directory / "data"


@pytest.fixture(scope="session")
def uniform_loss(prepared_data):
    """ln(vocabulary): the loss of a model that knows nothing."""
    return math.log(load_tokenizer("HFTokenizer", prepared_data / "stdlib" / "tokenizer.json").vocab_size)


def trained(directory, prepared_data, *overrides, timeout):
    """Where the preset was trained."""
    (directory / "data").symlink_to(prepared_data)
    done = neox("train", PRESET, *overrides, cwd=directory, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="session")
def short_run(tmp_path_factory, prepared_data):
    return trained(tmp_path_factory.mktemp("short"), prepared_data, *SHORT, timeout=180)


def curve(directory, name):
    """A scalar of TensorBoard's event files, by step."""
    (events,) = (directory / "runs" / "tensorboard").rglob("events.out.*")
    accumulator = EventAccumulator(str(events), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {scalar.step: scalar.value for scalar in accumulator.Scalars(name)}


def test_the_first_loss_is_that_of_knowing_nothing(short_run, uniform_loss):
    assert curve(short_run, "train/lm_loss")[1] == pytest.approx(uniform_loss, rel=0.03)


def test_the_held_out_loss_falls(short_run):
    held_out = curve(short_run, "validation/lm_loss")
    assert held_out[STEPS] < held_out[EVAL_INTERVAL]


def test_tensorboard_has_every_step_and_every_evaluation(short_run):
    assert list(curve(short_run, "train/lm_loss")) == list(range(1, STEPS + 1))
    assert list(curve(short_run, "validation/lm_loss")) == list(range(EVAL_INTERVAL, STEPS + 1, EVAL_INTERVAL))


def test_the_model_writes_on_from_a_prompt(short_run):
    done = neox("generate", "checkpoints/quickstart", "--prompt", "def ", cwd=short_run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("def ")
    assert len(done.stdout.strip()) > len("def ")


@pytest.mark.skipif(not WHOLE, reason="minutes of training; NEOX_TEST_ALL=1 runs it")
def test_the_whole_preset_learns(tmp_path, prepared_data, uniform_loss):
    directory = trained(tmp_path, prepared_data, timeout=1800)
    held_out = curve(directory, "validation/lm_loss")
    assert held_out[yaml.safe_load(PRESET.read_text())["train_iters"]] < 0.6 * uniform_loss


RATES = {"lion": 0.0005, "sgd": 0.3, "sm3": 0.1, "lamb": 0.01, "madgrad_wd": 0.01}
FURTHER = {"sgd": {"momentum": 0.9}, "sm3": {"momentum": 0.9}, "onebitadam": {"freeze_step": 25}}
OPTIMIZERS = [
    offer.component.name
    for offer in plugins().offers("optimizer")
    if offer.source.distribution == "neox-toolkit" and plugins().availability(offer, probe=True).state is State.OK
]


@pytest.mark.skipif(not WHOLE, reason="minutes of training; NEOX_TEST_ALL=1 runs it")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_it(tmp_path, prepared_data, uniform_loss, name):
    params = {"lr": RATES.get(name, 0.003), **FURTHER.get(name, {})}
    optimizer = f"optimizer={{type: {name}, params: {params}}}"
    directory = trained(tmp_path, prepared_data, *SHORT, optimizer, "lr_decay_style=constant", timeout=300)
    held_out = curve(directory, "validation/lm_loss")
    assert held_out[STEPS] < min(held_out[EVAL_INTERVAL], 0.9 * uniform_loss)
