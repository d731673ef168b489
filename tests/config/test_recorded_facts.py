"""Numbers that GPT-NeoX is known to compute from settings, or that it should."""

from __future__ import annotations

import pytest

from neox_core.config import NeoXArgs, Resolved, World, read_text
from neox_core.config.entry import merge
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches
from neox_core.training.schedule import make_schedule

PLUGINS = PluginManager(Switches())
MODEL = {
    "num_layers": 4,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "seq_length": 2048,
    "max_position_embeddings": 2048,
    "train_iters": 320_000,
    "train_micro_batch_size_per_gpu": 4,
}


def resolve(world: int = 1, vocabulary: int | None = None, **changes) -> Resolved:
    given = {key: value for key, value in {**MODEL, **changes}.items() if value is not ...}
    return NeoXArgs.from_dict(given, plugins=PLUGINS).resolve(World.local(world, "cuda"), vocabulary)


def refusal(**changes) -> str:
    with pytest.raises(SettingsError) as caught:
        resolve(**changes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("vocabulary", "divisible_by", "parallel", "padded"),
    [
        (50257, 128, 1, 50304),
        (50257, 128, 2, 50432),
        (32000, 1, 1, 32000),
        (50277, 128, 1, 50304),
        (50277, 128, 2, 50432),
        (50277, 128, 4, 50688),
    ],
)
def test_padded_vocabularies(vocabulary, divisible_by, parallel, padded):
    found = resolve(
        parallel, vocabulary, make_vocab_size_divisible_by=divisible_by, model_parallel_size=parallel
    ).padded_vocab_size
    assert found == padded


@pytest.mark.parametrize(
    ("total", "micro", "accumulation", "expected"),
    [(..., 4, 8, (4, 8, 64)), (64, 4, None, (4, 8, 64)), (64, 4, ..., (4, 8, 64)), (64, ..., ..., (32, 1, 64))],
)
def test_batches_on_eight_ranks_of_which_two_see_different_samples(total, micro, accumulation, expected):
    batch = resolve(
        8,
        pipe_parallel_size=2,
        model_parallel_size=2,
        train_batch_size=total,
        train_micro_batch_size_per_gpu=micro,
        gradient_accumulation_steps=accumulation,
    ).batch
    assert batch.data_parallel == 2
    assert (batch.micro, batch.accumulation, batch.total) == expected


@pytest.mark.parametrize(
    ("config", "num_layers", "expected"),
    [
        ([[["global", "local"], 3]], 6, ("global", "local") * 3),
        ([[["flash"], "all"]], 12, ("flash",) * 12),
        ([[["global"], 2], [["local"], "all"]], 4, ("local",) * 4),
    ],
)
def test_layers(config, num_layers, expected):
    assert resolve(attention_config=config, num_layers=num_layers).layers == expected


@pytest.mark.parametrize(
    ("hidden", "size", "multiple", "activation", "width"),
    [
        (4096, 32768, 256, "swiglu", 11008),
        (5120, 40960, 256, "swiglu", 13824),
        (6656, 53248, 256, "swiglu", 17920),
        (8192, 65536, 256, "swiglu", 22016),
        (8192, 86016, 256, "swiglu", 28672),
        (4096, 14336, 14336, "swiglu", 14336),
        (4096, None, 256, "swiglu", 5632),
        (768, None, 1, "gelu", 3072),
        (768, 100, 8, "gelu", 104),
    ],
)
def test_widths_of_the_mlp(hidden, size, multiple, activation, width):
    changes = {"intermediate_size": size, "mlp_multiple_of": multiple, "activation": activation}
    assert resolve(hidden_size=hidden, num_attention_heads=32, **changes).mlp_width == width


def test_a_gated_mlp_that_has_no_equal_halves_is_refused_with_one_that_has():
    changes = {"hidden_size": 4096, "num_attention_heads": 32, "activation": "swiglu"}
    said = refusal(intermediate_size=14336, **changes)
    assert "intermediate_size, mlp_multiple_of, activation: two thirds of 14336 are 9557" in said
    assert "for a width of 14336 inside the MLP write intermediate_size: 43008" in said
    assert resolve(intermediate_size=43008, **changes).mlp_width == 14336


def test_two_widths_are_refused():
    assert "intermediate_size 8 and expansion_factor 2.5 are both given" in refusal(
        intermediate_size=8, expansion_factor=2.5
    )
    assert resolve(expansion_factor=2.5).mlp_width == 1920


def test_clipping_at_1_is_in_the_configuration():
    assert resolve(gradient_clipping=1.0).deepspeed["gradient_clipping"] == 1.0
    assert resolve().deepspeed["gradient_clipping"] == 1.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"fp16": {"enabled": True}}, "fp16"), ({"precision": "bfloat16"}, "bf16"), ({"precision": "fp32"}, "fp32")],
)
def test_precisions(given, expected):
    assert resolve(**given).precision == expected


def test_a_misspelt_precision_is_refused_with_the_nearest():
    assert "'BF16' is not one of fp32, fp16, bfloat16 or null (did you mean 'bfloat16'?)" in refusal(precision="BF16")


@pytest.mark.parametrize("key", ["num_layers", "num-layers"])
def test_a_second_num_layers_is_refused_in_either_spelling(key):
    files = [read_text("num_layers: 2\n", "a.yml"), read_text(f"\n{key}: 3\n", "b.yml")]
    with pytest.raises(SettingsError, match=r"b\.yml:2: num_layers: is given twice, first in a\.yml:1"):
        merge(files)


def test_the_learning_rate_of_gpt_neox():
    optimizer = {"type": "adam", "params": {"lr": 6e-4}}
    resolved = resolve(optimizer=optimizer, min_lr=6e-5, warmup=0.01, lr_decay_style="cosine")
    rate = make_schedule(resolved, PLUGINS)
    assert rate(1) == pytest.approx(6e-4 / 3200, rel=1e-12)
    assert rate(3200) == pytest.approx(6e-4, rel=1e-12)
    assert rate(320_000) == pytest.approx(6e-5, rel=1e-12)
    assert rate(400_000) == pytest.approx(6e-5, rel=1e-12)
