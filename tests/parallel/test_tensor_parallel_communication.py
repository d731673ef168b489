"""Tensor-parallel ranks communicate while they compute, and no more often than they have to."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("sequence", "collective"), [(False, "sum"), (True, "scatter")])
def test_the_inputs_gradient_is_summed_while_that_of_the_weights_is_computed(workers, sequence, collective):
    for events in workers(2).run("collective_events:of_a_backward_pass", sequence=sequence):
        of_weights, of_inputs = (
            events.index("product (5, 8)"),
            events.index("product (8, 8)" if not sequence else "product (16, 8)"),
        )
        assert of_inputs < events.index(collective) < of_weights < events.index(f"waited for {collective}"), events
        if sequence:
            assert events.index("gather") < of_inputs < events.index("waited for gather") < of_weights, events


@pytest.mark.parametrize(("sequence", "collective"), [(False, "sum"), (True, "scatter")])
def test_side_by_side_attention_and_mlp_are_summed_over_ranks_together(workers, sequence, collective):
    together, apart = (
        workers(2).run(
            "collective_events:of_a_forward_pass", gpt_j_residual=True, sequence_parallel=sequence, hidden_dropout=rate
        )
        for rate in (0.0, 0.1)
    )
    for one, other in zip(together, apart, strict=True):
        assert one[collective] == other[collective] - 2, "one less in each of two layers"
        assert one["gather"] == other["gather"]
