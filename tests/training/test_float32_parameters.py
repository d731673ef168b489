"""Parameters that stay in float32 in a model of another number format, as those of Mamba do."""

from __future__ import annotations

import pytest
import torch
import training_steps as steps
from training_models import model

from neox_core.training.parameter_groups import parameter_groups

MAMBA = {"attention_config": ["mamba", "global"], "pos_emb": "none", "weight_decay": 0.1}


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("ranks", [1, 2])
def test_they_compute_in_float32(workers, ranks, keep):
    changes = {"precision": "bfloat16", "mamba_selective_fp32_params": keep}
    for found in workers(ranks).run(steps.computing, 3, **MAMBA, **changes):
        assert found["applied"]
        wide = {name for name, dtype in found["dtypes"].items() if dtype == torch.float32}
        assert wide == ({"layers.0.mixer.A_log", "layers.0.mixer.D"} if keep else set())
        assert all(found["exact"][name] for name in wide & found["exact"].keys())
        assert not all(found["exact"].values())


def test_they_begin_unrounded(workers):
    name, changes = "layers.0.mixer.A_log", {**MAMBA, "precision": "bfloat16"}
    expected = dict(model(**MAMBA).named_parameters())[name].detach()
    assert not torch.equal(expected, expected.bfloat16().float())
    assert torch.equal(workers(1).run(steps.at_the_beginning, **changes)[0][name], expected)


def test_they_are_saved_and_loaded(workers, tmp_path):
    changes = {**MAMBA, "precision": "bfloat16", "train_micro_batch_size_per_gpu": 1}
    saved = workers(2).run(steps.save_and_go_on, tmp_path, **changes)[0]
    for ranks in (2, 1):
        loaded = workers(ranks).run(steps.load_and_go_on, saved["path"], **changes)[0]
        assert loaded["losses"] == pytest.approx(saved["losses"], rel=0 if ranks == 2 else 1e-3)


def test_they_have_groups_of_their_own_after_the_others():
    parameters = dict(model(**MAMBA).named_parameters())
    groups = parameter_groups(parameters, 0.1)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0, 0.0]
    assert groups[2]["params"] == [parameters[f"layers.0.mixer.{name}"] for name in ("A_log", "D")]
    assert sum(len(group["params"]) for group in groups) == len(parameters)
    assert [len(group["params"]) for group in parameter_groups(parameters, 0.0)] == [len(parameters) - 2, 2]
