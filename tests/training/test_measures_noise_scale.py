"""The noise scale against its definition: where the covariance of gradients is given, and where it is a model's."""

from __future__ import annotations

import pytest
import training_measures as measures

CUTS = [(1, 0), (1, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize(
    ("batch", "batches", "noise"), [(8, 5, 8.0), (8, 2, 20.0), (64, 5, 100.0), (4, 10, 30.0), (1, 5, 0.5)]
)
def test_it_is_what_the_law_of_the_gradients_says(workers, batch, batches, noise):
    law = {"batch": batch, "batches": batches, "noise": noise}
    [found] = workers(1).run(measures.noises_of_a_law, 400 * batches, 3, **law)
    assert found == [pytest.approx(noise, rel=0.1)] * 3


@pytest.mark.parametrize("offload", [False, True])
def test_it_is_the_same_however_gradients_are_cut(workers, offload):
    law = {"batch": 8, "batches": 5, "noise": 10.0, "seed": 0}
    [one] = workers(1).run(measures.noise_of_a_law, 60, **law)
    two = workers(2).run(measures.noise_of_a_law, 60, **law, offload=offload)
    assert two == [pytest.approx(one, rel=1e-6)] * 2
    assert two[0] == two[1]


def test_it_is_known_from_the_first_group_on(workers):
    law = {"batch": 8, "batches": 5, "noise": 1.0, "seed": 0}
    assert workers(1).run(measures.noise_of_a_law, 4, **law) == [None]
    assert workers(1).run(measures.noise_of_a_law, 5, **law) == [pytest.approx(1.0, rel=0.5)]


def test_it_is_not_told_while_the_gradient_drowns_in_noise(workers):
    # By far more noise than 4 batches can average away: the estimate of the squared norm is negative every other time.
    [found] = workers(1).run(measures.noises_of_a_law, 4, 10, batch=2, batches=2, noise=1e8)
    assert None in found
    assert all(value > 0 for value in found if value is not None)


@pytest.fixture(scope="module")
def of_samples(workers):
    """Of 1,024 samples, one by one."""
    return workers(1).run(measures.noise_by_hand, 1024)[0]


def test_a_model_has_the_noise_of_its_samples(workers, of_samples):
    [found] = workers(1).run(measures.noise_of_a_model, 600, train_batch_size=8, gradient_noise_scale_n_batches=3)
    assert found == pytest.approx(of_samples, rel=0.1)


@pytest.mark.parametrize(("ranks", "stage"), CUTS)
@pytest.mark.parametrize("offload", [False, True])
def test_a_model_has_the_same_noise_on_any_ranks(workers, ranks, stage, offload):
    [expected] = workers(1).run(measures.noise_of_a_model, 10, train_batch_size=8)
    changes = {"gradient_noise_scale_cpu_offload": offload, "zero_optimization": {"stage": stage}}
    found = workers(ranks).run(measures.noise_of_a_model, 10, train_batch_size=8, gradient_clipping=0.1, **changes)
    assert found == [found[0]] * ranks
    assert found[0] == pytest.approx(expected, rel=1e-3)
