"""1-bit Adam on two ranks: Adam at first, then the formula of the compression; what it sends, and what it keeps."""

from __future__ import annotations

import math

import numpy as np
import onebit_steps as steps
import pytest
import torch
import training_steps
from hypothesis import given, strategies as st
from neox_optimizers.sign_average import compress, pack, restore, unpack
from onebit_steps import DECAY, SHAPES, beginning, gradient
from training_models import resolve

from neox_core.training.zero_admission import admission_problems

BETAS, EPS, FREEZE, BOUND = (0.8, 0.9), 1e-3, 6, 0.7
RATES = [0.05 / (1 + step / 4) for step in range(20)]
OPTIONS = {"betas": BETAS, "eps": EPS, "freeze_step": FREEZE, "bound": BOUND}


def signs(values, sizes, ranks):
    """Each run of values as its mean size, with signs; of one rank, which has nobody to send to, as it is."""
    if ranks == 1:
        return values
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return np.concatenate([np.where(part >= 0, 1, -1) * np.abs(part).mean() for part in parts])


def by_hand(ranks, count):
    """The paper's algorithm in float64, tensors one after the other in one vector; each rank answers for a chunk.

    Of one rank nothing is compressed.
    """
    names = ["matrix", "other", "vector"]  # in the order of the groups
    sizes = [math.prod(SHAPES[name]) for name in names]
    length = sum(sizes)
    chunk = -(-length // (8 * ranks)) * 8
    sizes = [*sizes, ranks * chunk - length]
    edges = np.cumsum(sizes)

    def flat(of):
        return np.concatenate([*(of(name).ravel() for name in names), np.zeros(ranks * chunk - length)])

    weight, decay = flat(beginning), flat(lambda name: np.full(SHAPES[name], DECAY[name]))
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    sent, told = [np.zeros_like(weight) for _ in range(ranks)], np.zeros_like(weight)
    for step in range(count):
        own = [flat(lambda name, rank=rank, step=step: gradient(rank, step, name)) for rank in range(ranks)]
        if step < FREEZE:
            average = np.mean(own, 0)
            mean = BETAS[0] * mean + (1 - BETAS[0]) * average
            square = BETAS[1] * square + (1 - BETAS[1]) * average**2
        else:
            messages = []
            for rank in range(ranks):
                momentum = BETAS[0] * mean + (1 - BETAS[0]) * own[rank] + sent[rank]
                messages.append(signs(momentum, sizes, ranks))
                sent[rank] = momentum - messages[-1]
            average = np.mean(messages, 0) + told
            mean = np.zeros_like(average)
            for start in range(0, ranks * chunk, chunk):
                inside = [
                    min(edge, start + chunk) - max(edge - size, start) for edge, size in zip(edges, sizes, strict=True)
                ]
                mean[start : start + chunk] = signs(
                    average[start : start + chunk], [size for size in inside if size > 0], ranks
                )
            told = average - mean
            mean[length:] = 0
        corrected = square / (1 - BETAS[1] ** min(step + 1, FREEZE))
        update = mean / (1 - BETAS[0] ** (step + 1)) / (np.sqrt(corrected) + EPS)
        if step >= FREEZE:
            update = np.where(corrected > 0, np.clip(update, -BOUND, BOUND), 0)
        weight = weight * (1 - RATES[step] * decay) - RATES[step] * update
    parts = np.split(weight[:length], edges[: len(names) - 1])
    return {name: part.reshape(SHAPES[name]) for name, part in zip(names, parts, strict=True)}


@pytest.mark.parametrize("ranks", [1, 2])
def test_twenty_steps_are_those_of_the_algorithm(workers, ranks):
    found = workers(ranks).run(steps.weights_after, 20, RATES, **OPTIONS)
    for of_rank in found:
        for name, weight in of_rank.items():
            np.testing.assert_array_equal(weight, found[0][name], err_msg="ranks differ")
    for name, weight in by_hand(ranks, 20).items():
        np.testing.assert_allclose(found[0][name], weight, rtol=1e-6, atol=1e-6)


ONE_BIT = {"type": "OneBitAdam", "params": {"lr": 0.01, "betas": [0.9, 0.95], "freeze_step": 8}}


def test_it_sends_a_sixteenth_of_the_bytes_and_learns(workers):
    model = {"hidden_size": 64, "optimizer": ONE_BIT}
    for found in workers(2).run(steps.traffic, 40, **model):
        dense = 4 * found["elements"]
        assert all(sent >= dense for sent in found["bytes"][:8])
        assert all(sent <= dense / 16 for sent in found["bytes"][8:])
        assert np.mean(found["losses"][-5:]) < np.mean(found["losses"][5:10]) - 0.05
    adam = {**model, "optimizer": {"type": "Adam", "params": {"lr": 0.01, "betas": [0.9, 0.95]}}}
    assert workers(2).run(steps.traffic, 8, **adam)[0]["losses"] == pytest.approx(found["losses"][:8], rel=1e-5)


def test_over_tokens_of_the_same_samples_it_learns_as_over_samples(workers):
    model = {"hidden_size": 64, "optimizer": ONE_BIT}
    cut = {"context_parallel_size": 2, "attention_config": [[["ring"], "all"]]}
    expected = workers(2).run(steps.traffic, 40, **model)[0]["losses"]
    for found in workers(2).run(steps.traffic, 40, **model, **cut):
        assert found["losses"][:9] == pytest.approx(expected[:9], rel=1e-5)
        assert found["losses"] == pytest.approx(expected, rel=5e-3), (
            "signs of other parts are about the same on average"
        )


@pytest.mark.parametrize("before", [4, 12])
def test_it_goes_on_from_a_checkpoint(workers, tmp_path, before):
    saved = workers(2).run(steps.save_and_go_on, tmp_path, before, 6, optimizer=ONE_BIT)[0]
    again = workers(2).run(steps.load_and_go_on, saved["path"], before, 6, optimizer=ONE_BIT)[0]
    assert again == saved["losses"]
    other = workers(1).run(steps.load_and_go_on, saved["path"], before, 1, optimizer=ONE_BIT)[0]
    assert other == pytest.approx(saved["losses"][:1], rel=1e-4), "other ranks begin without what was left out"


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_skipped_step_changes_nothing_while_the_variance_is_frozen(workers, ranks):
    frozen = {**ONE_BIT, "params": {**ONE_BIT["params"], "freeze_step": 1}}
    for found in workers(ranks).run(training_steps.skipped, math.inf, bad_rank=0, optimizer=frozen):
        assert not found["result"].applied
        assert found["untouched"]
        assert found["after"] == found["expected"]


@pytest.mark.parametrize("changes", [{"zero_optimization": {"stage": 1}}, {"precision": "bfloat16"}])
def test_it_leaves_nothing_for_zero_to_do(changes):
    resolved, manager = resolve(optimizer=ONE_BIT, zero_allow_untested_optimizer=True, **changes)
    (problem,) = admission_problems(resolved, manager)
    assert "onebitadam averages over the ranks by itself" in str(problem)
    assert "set zero_optimization.stage: 0 and precision: fp32" in str(problem)


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_bits_are_packed_and_unpacked(bits):
    packed = pack(torch.tensor(bits * 8))
    assert packed.numel() == len(bits)
    assert unpack(packed).tolist() == bits * 8


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_what_compression_leaves_out_is_kept(sizes):
    values = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(sum(sizes)))
    bits, scales, error = compress(values, sizes)
    torch.testing.assert_close(restore(bits, scales, sizes) + error, values)
    assert [len(part) for part in values.split(sizes)] == sizes
    torch.testing.assert_close(scales, torch.stack([part.abs().mean() for part in values.split(sizes)]))
