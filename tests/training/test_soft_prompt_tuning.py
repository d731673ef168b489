"""A soft prompt is trained, saved and resumed, and everything else stays as it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import training_prompts as prompts
import training_steps as steps
from training_models import resolve

from neox_core.checkpoint import Reader
from neox_core.errors import UserError
from neox_core.parallel import ShardSpec
from neox_core.training.preflight import soft_prompt_tokens


@pytest.mark.parametrize("precision", ["fp32", "bfloat16"])
@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (1, 1), (2, 0), (2, 1)])
def test_only_the_prompt_changes_and_has_a_state(workers, ranks, stage, precision):
    for found in workers(ranks).run(prompts.tuned, precision=precision, zero_optimization={"stage": stage}):
        assert found["changed"] == found["state"] == {prompts.NAME}
        assert set(found["weights"]) == found["names"], "a checkpoint has all weights"
        frozen = [name for name in found["weights"] if name != prompts.NAME]
        assert len(frozen) == len(set(frozen)), "each written by one rank"


def test_the_steps_do_not_depend_on_the_cutting(workers):
    expected = workers(1).run(prompts.tuned)[0]["curve"]
    for ranks, stage in ((1, 1), (2, 0), (2, 1)):
        found = workers(ranks).run(prompts.tuned, zero_optimization={"stage": stage})[0]["curve"]
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, rel=1e-5)


def test_an_optimizer_of_whole_parameters_trains_it_where_they_and_the_layers_are_cut(workers):
    muon = {"optimizer": {"type": "muon", "params": {"lr": 0.01}}, **prompts.PROMPT}
    expected = workers(1).run(steps.curve, 3, **muon)[0]
    for found in workers(4).run(steps.curve, 3, model_parallel_size=2, pipe_parallel_size=2, **muon):
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize(("before", "after"), [((1, 0), (1, 0)), ((2, 1), (2, 1)), ((2, 1), (1, 0)), ((1, 0), (2, 1))])
def test_a_checkpoint_of_it_is_gone_on_from(workers, tmp_path, before, after):
    def run(place, work, path):
        ranks, stage = place
        return workers(ranks).run(work, path, **prompts.PROMPT, zero_optimization={"stage": stage})[0]

    saved = run(before, steps.save_and_go_on, tmp_path)
    loaded = run(after, steps.load_and_go_on, saved["path"])
    roles = dict(saved["roles"])
    assert set(roles[prompts.NAME]) == {"weight", "exp_avg", "exp_avg_sq", "step"}
    assert roles["layers.0.mlp.up.weight"] == ("weight",)
    exact = before == after
    assert loaded["losses"] == (saved["losses"] if exact else pytest.approx(saved["losses"], rel=1e-5))


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1)])
@pytest.mark.parametrize("words", [(5, 9), (5, 9, 2, 7)])
def test_it_begins_with_the_embeddings_of_a_text(workers, ranks, stage, words):
    expected = list((words * 2)[:3])
    for found in workers(ranks).run(prompts.begun, words, zero_optimization={"stage": stage}):
        rows = found["embeddings"][expected]
        assert torch.equal(found["at_once"], rows)
        assert torch.equal(found["after"], rows), "the weights that the optimizer keeps begin there too"


def saved_weight(checkpoint, name):
    reader = Reader(checkpoint)
    shape = reader.shape(name)
    return reader.read(ShardSpec.complete(name, shape), "weight", (0, torch.Size(shape).numel())).view(shape)


def test_a_run_trains_a_prompt_for_a_model_that_has_none(train, data):
    train(save=str(data / "base"), train_iters=2)
    words, tuning = (5, 9), {**prompts.PROMPT, "extra_save_iters": [0], "train_iters": 2}
    first = train(save=str(data / "first"), initial_ckpt_path=str(data / "base"), prompt_tokens=words, **tuning)
    assert first.code == 0, first.failure
    told = "left at their initialisation: embedding.soft_prompt.weight; the checkpoint lacks all of them"
    assert told in first.log
    embeddings = saved_weight(data / "base/global_step2", "embedding.weight")
    assert torch.equal(saved_weight(data / "first/global_step0", prompts.NAME), embeddings[[5, 9, 5]])

    second = train(save=str(data / "second"), initial_ckpt_path=str(data / "first"), prompt_tokens=words, **tuning)
    assert second.code == 0, second.failure
    goes_on = saved_weight(data / "second/global_step0", prompts.NAME)
    assert torch.equal(goes_on, saved_weight(data / "first/global_step2", prompts.NAME)), "a trained prompt is kept"
    assert not torch.equal(goes_on, embeddings[[5, 9, 5]])


TOKENIZER = SimpleNamespace(encode=lambda text: [ord(letter) for letter in text])


def of_text(text):
    return resolve(soft_prompt_tuning={"enabled": True, "init_string": text})[0]


def test_the_text_becomes_tokens_by_the_runs_tokenizer():
    assert soft_prompt_tokens(of_text("ab"), TOKENIZER) == (97, 98)
    assert soft_prompt_tokens(of_text(""), None) == ()
    assert soft_prompt_tokens(resolve()[0], None) == ()


def test_a_text_needs_a_tokenizer():
    with pytest.raises(UserError, match="init_string: 'ab' cannot be made tokens of without a tokenizer"):
        soft_prompt_tokens(of_text("ab"), None)


def test_a_text_must_have_tokens():
    with pytest.raises(UserError, match="init_string: ' ' has no tokens"):
        soft_prompt_tokens(of_text(" "), SimpleNamespace(encode=lambda text: []))
