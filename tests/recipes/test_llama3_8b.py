"""The recipe of Llama 3: as NeMo-Run's page writes it, as files, and trained when it is shrunk."""

from __future__ import annotations

import json
import math

import pytest
from neox_recipes import llama3_8b, optimizers as adam
from neox_recipes.data import MockDataModule
from neox_recipes.logs import default_log, default_resume
from neox_recipes.models import Llama3Config8B, LlamaModel
from neox_recipes.pretraining import pretrain
from plugin_distributions import neox
from whole_matrix import WHOLE

from neox_core import Config, NeoXArgs, Partial, autoconvert, build
from neox_core.cli.recipe_settings import settings_of
from neox_core.config import ModelSettings, World
from neox_core.config.nodes.forms import dump, load
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())


def test_a_run_is_put_together_as_in_nemo():
    partial = Partial(
        pretrain,
        model=llama3_8b.model(),
        trainer=llama3_8b.trainer(
            tensor_parallelism=1,
            pipeline_parallelism=1,
            pipeline_parallelism_type=None,
            virtual_pipeline_parallelism=None,
            context_parallelism=2,
            sequence_parallelism=False,
            num_nodes=1,
            num_gpus_per_node=8,
        ),
        data=Config(MockDataModule, seq_length=8192, global_batch_size=512, micro_batch_size=1),
        log=default_log(ckpt_dir="checkpoints", name="llama3"),
        optim=adam.distributed_fused_adam_with_cosine_annealing(max_lr=3e-4),
        resume=default_resume(),
    )
    args = NeoXArgs(settings_of(partial), PLUGINS)
    assert (args.context_parallel_size, args.num_gpus, args.train_batch_size) == (2, 8, 512)
    assert args.optimizer["params"]["lr"] == 3e-4
    assert args.save == "checkpoints/llama3"


def test_a_function_that_is_converted_gives_the_same_node():
    @autoconvert
    def automodel() -> LlamaModel:
        return LlamaModel(config=Llama3Config8B())

    assert llama3_8b.model() == automodel()


def test_building_a_partial_and_calling_it_is_building_a_config():
    arguments = {"config": Config(Llama3Config8B, seq_length=16384)}
    assert build(Partial(LlamaModel, **arguments))() == build(Config(LlamaModel, **arguments))


def test_it_is_the_published_model():
    resolved = NeoXArgs(settings_of(llama3_8b.pretrain_recipe()), PLUGINS).resolve(World.local(8, device="cuda"))
    assert (len(resolved.layers), resolved.mlp_width, resolved.padded_vocab_size) == (32, 14_336, 128_256)
    model = resolved[ModelSettings]
    hidden, width, vocabulary = model.hidden_size, resolved.mlp_width, resolved.padded_vocab_size
    attention = 2 * hidden * hidden + 2 * hidden * hidden * model.num_kv_heads // model.num_attention_heads
    layers = model.num_layers * (attention + 3 * hidden * width + 2 * hidden)
    assert layers + (2 if model.no_weight_tying else 1) * vocabulary * hidden + hidden == 8_030_261_248


@pytest.mark.parametrize("form", ["yml", "json", "toml"])
def test_it_survives_a_file(tmp_path, form):
    recipe = llama3_8b.pretrain_recipe()
    dump(recipe, tmp_path / f"recipe.{form}")
    again = load(tmp_path / f"recipe.{form}", PLUGINS.targets())
    assert again == recipe
    values = [{entry.key: entry.value for entry in settings_of(node)} for node in (recipe, again)]
    assert values[0] == values[1]


SHRUNK = [
    "model.config.num_layers=2",
    "model.config.hidden_size=32",
    "model.config.ffn_hidden_size=64",
    "model.config.num_attention_heads=4",
    "model.config.num_query_groups=2",
    "model.config.seq_length=32",
    "model.config.vocab_size=64",
    "data.seq_length=32",
    "data.global_batch_size=8",
    "data.micro_batch_size=4",
    "trainer.num_gpus_per_node=2",
    "trainer.accelerator=cpu",
    "trainer.precision=32",
    "trainer.max_steps=30",
    "trainer.limit_val_batches=0",
    "trainer.log_every_n_steps=1",
    "optim.lr_scheduler.warmup_steps=3",
    "optim.config.lr=0.01",
    "loggers=[jsonl]",
]


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE, reason="the page on recipes runs it too; NEOX_TEST_ALL=1 runs it")
def test_it_trains_when_it_is_shrunk(tmp_path):
    done = neox("train", "llama3_8b", *SHRUNK, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (run_dir,) = (tmp_path / "runs" / "llama3_8b").iterdir()
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "loss" in record]
    assert losses[0] == pytest.approx(math.log(128), rel=0.05)
    assert min(losses[-3:]) < 0.8 * losses[0]
