"""Parts in NeMo's vocabulary: every field means something, and that is what the settings get."""

from __future__ import annotations

import dataclasses

import pytest
from neox_recipes.data import MockDataModule, PreTrainingDataModule
from neox_recipes.logs import Log, Resume, default_log, default_resume
from neox_recipes.models import GPTConfig, Llama3Config8B, LlamaConfig, LlamaModel
from neox_recipes.optimizers import AdamConfig, CosineAnnealing, adam_with_cosine_annealing
from neox_recipes.part import Part, entries
from neox_recipes.pretraining import pretrain
from neox_recipes.trainer import Trainer

from neox_core import Config, NeoXArgs, build
from neox_core.config import Ownership, World
from neox_core.errors import SettingsError, UserError
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())
KEYS = Ownership.of(PLUGINS).keys
PARTS = [
    *(AdamConfig, CosineAnnealing, GPTConfig, Llama3Config8B, LlamaConfig, Log),
    *(MockDataModule, PreTrainingDataModule, Resume, Trainer),
]


@pytest.mark.parametrize("part", PARTS)
def test_every_field_has_a_meaning_that_is_a_key_or_is_told(part):
    names = {field.name for field in dataclasses.fields(part)}
    assert names == set(part.meanings)
    for name, meaning in part.meanings.items():
        assert meaning.keys or meaning.words, name
        assert {key.partition(".")[0] for key in meaning.keys} <= KEYS.keys()


@pytest.mark.parametrize("part", PARTS)
def test_every_field_is_described(part):
    described = "".join(cls.__doc__ for cls in part.__mro__ if issubclass(cls, Part))
    for field in dataclasses.fields(part):
        assert f"{field.name}: " in described, field.name


def said(part):
    return {entry.key: entry.value for entry in entries(part.said())}


def test_a_gated_model_gets_the_width_that_is_meant():
    config = Llama3Config8B()
    assert said(config)["intermediate_size"] == 3 * 14336
    assert said(config)["activation"] == "swiglu"
    assert said(GPTConfig(hidden_size=8))["intermediate_size"] == 32
    assert said(GPTConfig(ffn_hidden_size=24, activation_func="relu"))["activation"] == "relu"
    with pytest.raises(UserError, match="activation_func: 'mish' has no gated form"):
        said(LlamaConfig(activation_func="mish"))


def test_what_comes_to_none_is_not_said():
    assert "num_kv_heads" not in said(GPTConfig())
    assert "pipe_parallel_size" not in said(Trainer())
    assert said(Trainer(pipeline_parallelism=2))["pipe_parallel_size"] == 2


@pytest.mark.parametrize("name", ["pipeline_parallelism_type", "virtual_pipeline_parallelism"])
def test_what_cannot_be_had_is_refused(name):
    with pytest.raises(UserError, match=f"{name}: 2 cannot be had, .*; write null"):
        Trainer(**{name: 2})


@pytest.mark.parametrize(("steps", "decay"), [(100, 90), (20, 20), (5, 20)])
def test_the_schedule_is_told_in_shares_of_the_run(steps, decay):
    schedule = CosineAnnealing(warmup_steps=20, constant_steps=10)
    found = {item.key: item.value for item in schedule.over(steps)}
    assert found == {"lr_decay_style": "cosine", "lr_decay_iters": decay, "warmup": 20 / decay}


def test_betas_are_one_list():
    assert said(AdamConfig(adam_beta1=0.8))["optimizer"] == {
        "type": "Adam",
        "params": {"lr": 1e-4, "betas": [0.8, 0.95], "eps": 1e-5},
    }


def parts(**changes):
    whole = {
        "model": Config(
            LlamaModel, config=Config(LlamaConfig, num_layers=2, hidden_size=16, num_attention_heads=2, vocab_size=64)
        ),
        "data": Config(MockDataModule, seq_length=16, global_batch_size=4),
        "trainer": Config(Trainer, num_gpus_per_node=1, max_steps=6, precision="32", accelerator="cpu"),
        "optim": adam_with_cosine_annealing(warmup_steps=2),
        "log": default_log(),
        "resume": default_resume(),
    }
    return {**whole, **changes}


def settings(**changes):
    return NeoXArgs(pretrain.settings(build(parts(**changes))), PLUGINS)


def test_the_whole_is_in_order():
    resolved = settings().resolve(World.local())
    assert (resolved.batch.total, resolved.vocabulary, resolved.mlp_width, resolved.precision) == (4, 64, 64, "fp32")


def test_flat_keys_go_over_the_parts():
    assert settings(seed=3, num_layers=4).num_layers == 4


def test_a_run_resumes_from_where_its_log_saves():
    args = settings(log=default_log(ckpt_dir="saved", name="mine"))
    assert (args.save, args.load, args.run_name) == ("saved/mine", "saved/mine", "mine")
    args = settings(
        log=default_log(ckpt_dir="saved"), resume=Config(Resume, resume_if_exists=False, restore_path="other")
    )
    assert (args.load, args.initial_ckpt_path) == (None, "other")


def test_data_from_files():
    data = Config(PreTrainingDataModule, paths=["a", "b"], weights=[1.0, 2.0], tokenizer="tokenizer.json")
    args = settings(data=data)
    assert (args.train_data_paths, args.train_data_weights) == (["a", "b"], [1.0, 2.0])
    assert (args.tokenizer_type, args.vocab_file) == ("HFTokenizer", "tokenizer.json")
    assert args.mock_data is False


def test_a_mistake_has_the_place_where_it_was_written():
    trainer = Config(Trainer, num_gpus_per_node=1, max_steps=0)
    with pytest.raises(SettingsError, match=r"test_recipe_parts\.py:\d+: train_iters"):
        from neox_core import Partial
        from neox_core.cli.recipe_settings import settings_of

        NeoXArgs(settings_of(Partial(pretrain, **parts(trainer=trainer))), PLUGINS)
