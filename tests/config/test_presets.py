"""The presets in `configs/`: each is in order, has as many parameters as its model is published with, and goes with the fragments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from gpt_neox_tables import args_of, configs

from neox_core.config import NeoXArgs, Resolved, World
from neox_core.config.presets import find_config, preset_names
from neox_core.model import LanguageModel
from neox_core.plugins import PluginManager
from neox_core.training.components import component_problems

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "presets.md"

# Parameters as computed from the architecture alone; `vocabulary` is padded, and the head has weights of its own unless said.


def gpt(layers: int, hidden: int, vocabulary: int) -> int:
    """Blocks of layernorm, attention and MLP of four times the width, all with biases; rotary positions have no weights."""
    block = 12 * hidden**2 + 13 * hidden
    return layers * block + 2 * hidden + 2 * vocabulary * hidden


def llama(layers: int, hidden: int, width: int, vocabulary: int, heads_per_key: int = 1) -> int:
    """Blocks of rmsnorm, attention and a gated MLP, without biases."""
    attention = 2 * hidden**2 + 2 * hidden * (hidden // heads_per_key)
    return layers * (attention + 3 * hidden * width + 2 * hidden) + hidden + 2 * vocabulary * hidden


def mamba(layers: int, hidden: int, vocabulary: int) -> int:
    """Blocks of rmsnorm and a state space of 16 states for each of 2 * hidden channels; the head is the embedding."""
    inner, rank, states, window = 2 * hidden, hidden // 16, 16, 4
    projections = hidden * 2 * inner + inner * (rank + 2 * states) + (rank + 1) * inner + inner * hidden
    block = hidden + projections + (window + 1) * inner + (states + 1) * inner
    return layers * block + hidden + vocabulary * hidden


def rwkv(layers: int, hidden: int, vocabulary: int) -> int:
    """Blocks of two layernorms, time mixing as wide as the model, and channel mixing 3.5 times as wide."""
    mixes = 6 * hidden + 2 * (5 * 32 * hidden)
    decay = hidden + 2 * (64 * hidden)
    time = mixes + decay + hidden + 5 * hidden**2 + 2 * hidden
    channel = 2 * hidden + 2 * (hidden * 7 * hidden // 2) + hidden**2
    return layers * (4 * hidden + time + channel) + hidden + 2 * vocabulary * hidden


def gmlp(layers: int, hidden: int, seq: int, vocabulary: int) -> int:
    """Blocks of a layernorm, projections to twice 4 * hidden and back without biases, and a matrix over the sequence with one."""
    inner = 4 * hidden
    block = 2 * hidden + hidden * 2 * inner + 2 * inner + seq * (seq + 1) + inner * hidden
    return layers * block + 2 * hidden + 2 * vocabulary * hidden


PARAMETERS = {
    # Published sizes of GPT-3 count one matrix for embedding and head, and learned positions: see GPT_3. Where a size of this
    # ladder has the shape of a Pythia, its number is that of Pythia's table.
    "125M": (162_322_944, gpt(12, 768, 50304)),
    "350M": (405_334_016, gpt(24, 1024, 50304)),
    "760M": (834_493_440, gpt(24, 1536, 50304)),
    "1-3B": (1_414_647_808, gpt(24, 2048, 50304)),
    "1-3B-transformer-engine": (1_414_647_808, gpt(24, 2048, 50304)),
    "2-7B": (2_775_208_960, gpt(32, 2560, 50304)),
    "6-7B": (6_856_253_440, gpt(32, 4096, 50304)),
    "13B": (13_100_697_600, gpt(40, 5120, 50304)),
    "175B": (175_197_806_592, gpt(96, 12288, 50304)),
    # GPT-NeoX's own, named without embedding and head; 19M and 800M have the shapes of Pythia 70M and 1B.
    "19M": (70_426_624, gpt(6, 512, 50304)),
    "49M": (113_625_600, gpt(10, 640, 50304)),
    "800M": (1_011_781_632, gpt(16, 2048, 50304)),
    # Black et al., "GPT-NeoX-20B", 2022, section 2.
    "20B": (20_554_567_680, gpt(44, 6144, 50432)),
    # Model cards and README of Pythia, "total params"; 14M and 31M: the models at Hugging Face.
    "pythia/14M": (14_067_712, gpt(6, 128, 50304)),
    "pythia/31M": (30_494_720, gpt(6, 256, 50304)),
    "pythia/70M": (70_426_624, gpt(6, 512, 50304)),
    "pythia/160M": (162_322_944, gpt(12, 768, 50304)),
    "pythia/410M": (405_334_016, gpt(24, 1024, 50304)),
    "pythia/1B": (1_011_781_632, gpt(16, 2048, 50304)),
    "pythia/1-4B": (1_414_647_808, gpt(24, 2048, 50304)),
    "pythia/2-8B": (2_775_208_960, gpt(32, 2560, 50304)),
    "pythia/6-9B": (6_857_302_016, gpt(32, 4096, 50432)),
    "pythia/12B": (11_846_072_320, gpt(36, 5120, 50688)),
    # Model cards of Polyglot-Ko, "n_parameters".
    "polyglot-ko/1-3B": (1_331_810_304, gpt(24, 2048, 30080)),
    "polyglot-ko/3-8B": (3_809_974_272, gpt(32, 3072, 30080)),
    "polyglot-ko/5-8B": (5_885_059_072, gpt(28, 4096, 30080)),
    # Touvron et al., "LLaMA", 2023, table 2 has 6.7B, 13.0B, 32.5B and 65.2B; whole numbers from here on: the models at Hugging Face.
    "llama/7B": (6_738_415_616, llama(32, 4096, 11008, 32000)),
    "llama/13B": (13_015_864_320, llama(40, 5120, 13824, 32000)),
    "llama/30B": (32_528_943_616, llama(60, 6656, 17920, 32000)),
    "llama/65B": (65_285_660_672, llama(80, 8192, 22016, 32000)),
    "llama2/7B": (6_738_415_616, llama(32, 4096, 11008, 32000)),
    "llama2/13B": (13_015_864_320, llama(40, 5120, 13824, 32000)),
    "llama2/70B": (68_976_648_192, llama(80, 8192, 28672, 32000, 8)),
    "llama2/codellama_7B": (6_738_546_688, llama(32, 4096, 11008, 32016)),
    "llama2/codellama_13B": (13_016_028_160, llama(40, 5120, 13824, 32016)),
    "llama2/codellama_34B": (33_743_970_304, llama(48, 8192, 22016, 32000, 8)),
    "llama3/8B": (8_030_261_248, llama(32, 4096, 14336, 128256, 4)),
    "mistral/7B": (7_241_732_096, llama(32, 4096, 14336, 32000, 4)),
    "mamba/mamba-130M": (129_135_360, mamba(24, 768, 50280)),
    "mamba/mamba-370M": (371_516_416, mamba(48, 1024, 50280)),
    "mamba/mamba-790M": (793_204_224, mamba(48, 1536, 50280)),
    "mamba/mamba-1.4B": (1_372_178_432, mamba(48, 2048, 50280)),
    "mamba/mamba-2.8B": (2_768_345_600, mamba(64, 2560, 50280)),
    # Not published in these sizes: the shapes of GPT-NeoX's files, less the learned positions that it adds unasked.
    "rwkv/170M": (173_556_480, rwkv(12, 768, 50304)),
    "gmlp_small": (212_651_520, gmlp(12, 768, 2048, 50304)),
}
"""Preset -> its parameters as published, and as computed."""

WAITING = {"125M-dmoe", "125M-moe"}
"""Presets whose mixtures of experts this version does not have: they are read, not built."""

GPT_3 = {
    "125M": 125, "350M": 356, "760M": 760, "1-3B": 1320, "2-7B": 2650, "6-7B": 6660, "13B": 12850, "175B": 174600,
}  # fmt: skip
"""Millions of parameters: Brown et al., 2020, table D.1; to three digits, of the last two four."""

BODIES = {
    "pythia/70M": 18_915_328,
    "pythia/160M": 85_056_000,
    "pythia/410M": 302_311_424,
    "pythia/1B": 805_736_448,
    "pythia/1-4B": 1_208_602_624,
    "pythia/2-8B": 2_517_652_480,
    "pythia/6-9B": 6_444_163_072,
    "pythia/12B": 11_327_027_200,
}
"""Parameters beside embedding and head: the model cards of Pythia, "non-embedding params"."""

FRAGMENTS = {
    "local_cluster",
    "local_setup",
    "local_setup_comet",
    "local_setup_wandb",
    "prof",
    "slurm_local",
    "sparse",
    "text_generation",
}
SETUPS = {name for name in FRAGMENTS if name.startswith("local_") or name == "slurm_local"}
"""Fragments that say where data and checkpoints are, of which a run has one."""

SPEED_TO_COME = {"te_layernorm_mlp", "te_mha"}
"""Keys of presets that name kernels which this version does not have."""

MODELS = sorted({*PARAMETERS, *WAITING})

ARCHITECTURE = """
    num_layers hidden_size num_attention_heads num_kv_heads seq_length max_position_embeddings sliding_window_width
    norm layernorm_epsilon rms_norm_epsilon pos_emb rotary_pct rotary_emb_base gpt_j_residual gpt_j_tied no_weight_tying
    activation bias_gelu_fusion use_bias_in_mlp use_bias_in_attn_linear moe_num_experts
"""
TRAINING = """
    init_method output_layer_init_method train_micro_batch_size_per_gpu train_iters lr_decay_style min_lr warmup weight_decay
    gradient_clipping
"""
"""Keys that are compared where GPT-NeoX's file of the same name gives them."""

WITHOUT_POSITIONS = {"pos_emb", "activation"}
DIFFERENT = {
    "760M": {"optimizer"},  # betas: 0.95 in GPT-3
    "pythia/1B": {"train_micro_batch_size_per_gpu"},  # 16 on the 64 GPUs that it was trained on
    "llama2/7B": {"use_bias_in_mlp"},
    "llama2/13B": {"use_bias_in_mlp"},
    "llama2/70B": {"use_bias_in_mlp", "rotary_emb_base"},
    "llama2/codellama_7B": {"use_bias_in_mlp"},
    "llama2/codellama_34B": {"use_bias_in_mlp"},
    "mistral/7B": {"use_bias_in_mlp", "max_position_embeddings", "sliding_window_width"},
    "mamba/mamba-130M": {*WITHOUT_POSITIONS, "num_attention_heads"},
    "mamba/mamba-370M": {*WITHOUT_POSITIONS, "num_attention_heads"},
    "mamba/mamba-790M": {*WITHOUT_POSITIONS, "num_attention_heads", "optimizer"},
    "mamba/mamba-1.4B": {*WITHOUT_POSITIONS, "num_attention_heads"},
    "mamba/mamba-2.8B": {*WITHOUT_POSITIONS, "num_attention_heads"},
    "rwkv/170M": {*WITHOUT_POSITIONS, "rotary_pct", "gpt_j_residual", "min_lr"},  # of which its blocks use none
}
"""Presets that differ from GPT-NeoX's files, where those miss what was published or say what has no effect."""


@pytest.fixture(scope="module")
def plugins() -> PluginManager:
    return PluginManager()


def resolve(plugins: PluginManager, *names: str) -> Resolved:
    args = NeoXArgs.from_ymls([find_config(name) for name in names], plugins=plugins)
    assert args.notices == (), "older spellings, or keys that do nothing"
    return args.resolve(World.local(8, device="cuda"))


def build(plugins: PluginManager, name: str) -> LanguageModel:
    with torch.device("meta"):
        return LanguageModel(resolve(plugins, name, "local_setup"), plugins)


def test_every_file_is_a_model_or_a_fragment():
    assert set(preset_names()) == {*MODELS, *FRAGMENTS, "quickstart"}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_in_order_and_says_nothing_in_vain(name, plugins):
    resolved = resolve(plugins, name, "local_setup")
    assert {key for notice in resolved.notices for key in notice.keys} <= SPEED_TO_COME
    problems = [*resolved.limitations, *component_problems(resolved, plugins)]
    assert [problem for problem in problems if not problem.limitation] == []
    assert problems == [] or name in WAITING


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_has_as_many_parameters_as_published(name, plugins):
    published, computed = PARAMETERS[name]
    assert build(plugins, name).num_parameters() == published == computed


def adam(args: NeoXArgs) -> dict[str, Any]:
    """The optimizer's options, complete."""
    return {"betas": [0.9, 0.999], "eps": 1e-8} | (args.optimizer or {}).get("params", {})


@pytest.mark.parametrize("name", [name for name in MODELS if f"configs/{name}.yml" in configs()])
def test_a_model_is_that_of_gpt_neox_but_for_what_is_named(name, plugins):
    theirs = args_of([f"configs/{name}.yml"], plugins)
    ours = NeoXArgs.from_ymls([find_config(name)], plugins=plugins)
    compared = [*ARCHITECTURE.split(), *(key for key in TRAINING.split() if key in theirs)]
    found = {key for key in compared if getattr(theirs, key) != getattr(ours, key)}
    if "optimizer" in theirs and adam(theirs) != adam(ours):
        found.add("optimizer")
    assert found == DIFFERENT.get(name, set())


@pytest.mark.parametrize("name", GPT_3)
def test_gpt_3_shares_its_embedding_with_the_head_and_learns_positions(name, plugins):
    model = build(plugins, name)
    vocabulary, hidden = model.embedding.weight.shape
    as_published = model.num_parameters() - vocabulary * hidden + 2048 * hidden
    digits = 4 if GPT_3[name] > 10_000 else 3
    assert float(f"{as_published / 1e6:.{digits}g}") == GPT_3[name]


@pytest.mark.parametrize("name", BODIES)
def test_pythia_without_embedding_and_head(name, plugins):
    model = build(plugins, name)
    assert model.head.weight is not None
    assert model.num_parameters() - model.embedding.weight.numel() - model.head.weight.numel() == BODIES[name]


@pytest.mark.parametrize("fragment", sorted(FRAGMENTS))
def test_a_fragment_goes_with_a_model(fragment, plugins):
    setup = () if fragment in SETUPS else ("local_setup",)
    resolved = resolve(plugins, "125M", *setup, fragment)
    args = resolved.all_values()
    assert args["data_path"] == "data/enwik8/enwik8_text_document"
    assert args["num_layers"] == 12


def test_all_fragments_of_a_run_go_together(plugins):
    resolved = resolve(plugins, "125M", "local_setup", *sorted(FRAGMENTS - SETUPS))
    assert resolved.layers == ("local", "global") * 6


def test_the_page_lists_every_preset_with_its_parameters():
    page = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([0-9,]*)", page, flags=re.MULTILINE))
    assert set(rows) == {*MODELS, *FRAGMENTS}
    assert {name: rows[name] for name in PARAMETERS} == {name: f"{count:,}" for name, (count, _) in PARAMETERS.items()}
