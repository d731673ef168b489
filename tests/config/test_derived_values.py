"""Computed values read as attributes by GPT-NeoX's names; they are never set and never saved."""

from __future__ import annotations

import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.config.derived import DERIVED
from neox_core.errors import SettingsError

VALUES = {
    **MODEL,
    "gradient_accumulation_steps": 3,
    "vocab_size": 50257,
    "precision": "bfloat16",
    "optimizer": {"type": "CPU_Adam", "params": {"lr": 0.01}},
    "zero_optimization": {"stage": 1, "reduce_scatter": False},
    "pipe_parallel_size": 1,
    "global_num_gpus": 4,
}


def test_each_is_computed():
    args = NeoXArgs.from_dict(VALUES)
    found = {name: getattr(args, name) for name in DERIVED}
    config, values = found.pop("deepspeed_config"), found.pop("all_config")
    assert (config["train_batch_size"], config["gradient_accumulation_steps"]) == (24, 3)
    assert (config["zero_optimization"], config["bf16"]) == ({"stage": 1, "reduce_scatter": False}, {"enabled": True})
    assert (values["num_layers"], values["seed"], values["train_iters"]) == (4, 1234, 5)
    assert set(values) == set(args.ownership.by_key)
    assert found == {
        "params_dtype": "bfloat16",
        "padded_vocab_size": 50304,
        "optimizer_type": "cpu_adam",
        "lr": 0.01,
        "zero_stage": 1,
        "zero_reduce_scatter": False,
        "zero_contiguous_gradients": False,
        "zero_reduce_bucket_size": 500_000_000,
        "zero_allgather_bucket_size": 500_000_000,
        "batch_size": 2,
        "clip_grad": 1.0,
        "dynamic_loss_scale": True,
        "is_pipe_parallel": True,
        "world_size": 4,
    }


def test_a_computed_value_is_of_what_the_settings_resolve_to():
    resolved = NeoXArgs.from_dict({**VALUES, "gradient_clipping": 0.5, "pipe_parallel_size": 0}).resolve()
    assert (DERIVED["clip_grad"].compute(resolved), DERIVED["is_pipe_parallel"].compute(resolved)) == (0.5, False)


def test_they_follow_the_settings_and_the_world():
    args = NeoXArgs.from_dict(VALUES)
    args.train_micro_batch_size_per_gpu = 5
    assert args.deepspeed_config["train_batch_size"] == 60
    args.world = World.local(2)
    assert args.deepspeed_config["train_batch_size"] == 30
    args.fp16, args.precision = {"enabled": True, "loss_scale": 128}, None
    assert (args.params_dtype, args.dynamic_loss_scale) == ("fp16", False)


def test_they_are_no_settings(tmp_path):
    args = NeoXArgs.from_dict(VALUES)
    for name, derived in DERIVED.items():
        assert name not in args
        assert name not in args.ownership.by_key
        with pytest.raises(AttributeError, match=f"{name} is computed from "):
            setattr(args, name, 1)
        with pytest.raises(SettingsError, match=f"set in Python: {name}: is computed from .* \\(set those\\)"):
            args.update_value(name, 1)
        assert derived.description
    args.save_yml(tmp_path / "saved.yml")
    assert not set(DERIVED) & set(NeoXArgs.from_ymls([tmp_path / "saved.yml"]).to_dict())


def test_settings_that_do_not_fit_say_so_when_something_is_computed():
    args = NeoXArgs.from_dict({**VALUES, "seq_length": 9})
    with pytest.raises(
        AttributeError, match=r"batch_size cannot be computed: .*max_position_embeddings 8 is less than"
    ):
        _ = args.batch_size
    assert not hasattr(args, "lr")
    assert getattr(args, "lr", None) is None


@pytest.mark.parametrize("name", ["zero_stage", "deepspeed_config"])
def test_they_are_not_overridden_but_what_they_are_computed_from_is(tmp_path, name):
    NeoXArgs.from_dict(VALUES).save_yml(tmp_path / "a.yml")
    message = f"{name}: is computed from {DERIVED[name].source} \\(set those\\)"
    with pytest.raises(SettingsError, match=f"^command line \\({name}=3\\): {message}"):
        NeoXArgs.from_ymls([tmp_path / "a.yml"], overrides=[f"{name}=3"])
    with pytest.raises(SettingsError, match=f"^overwrite_values: {message}"):
        NeoXArgs.from_ymls([tmp_path / "a.yml"], {name: 3})
    (tmp_path / "b.yml").write_text(f"{name}: 3")
    (notice,) = NeoXArgs.from_ymls([tmp_path / "a.yml", tmp_path / "b.yml"]).notices
    assert notice.message == f"is computed from {DERIVED[name].source}; the value given is not used"
