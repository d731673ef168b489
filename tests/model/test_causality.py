"""A token is seen by what comes after it in its document, and by nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from training_models import SEQ_LENGTH, model, tokens


@pytest.mark.parametrize("pos_emb", ["rotary", "learned", "none"])
@pytest.mark.parametrize("changed", [0, 5, SEQ_LENGTH - 1])
@torch.no_grad()
def test_a_token_changes_nothing_before_it(pos_emb, changed):
    network, before = model(pos_emb=pos_emb), tokens()
    after = before.clone()
    after[:, changed] = (after[:, changed] + 1) % 61
    one, other = network(before).logits(), network(after).logits()
    assert torch.equal(one[:, :changed], other[:, :changed])
    assert (one[:, changed:] - other[:, changed:]).abs().amax(-1).min() > 1e-6


@settings(max_examples=15)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.sampled_from(["rotary", "learned"]))
@torch.no_grad()
def test_documents_in_one_row_are_as_if_alone(lengths, pos_emb):
    network, row = model(torch.float64, pos_emb=pos_emb), tokens(1, sum(lengths))
    documents = torch.cat([torch.full((length,), index) for index, length in enumerate(lengths)])[None]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    together = network(row, positions, documents).logits()[0]
    alone = torch.cat([network(part).logits()[0] for part in row.split(lengths, dim=1)])
    torch.testing.assert_close(together, alone, atol=1e-10, rtol=1e-10)


@torch.no_grad()
def test_rows_of_a_batch_may_be_cut_differently():
    network, rows = model(torch.float64), tokens(2, 6)
    documents = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]])
    positions = torch.tensor([[0, 1, 0, 1, 2, 3], [0, 1, 2, 3, 4, 0]])
    together = network(rows, positions, documents).logits()
    for row in range(2):
        alone = network(rows[row : row + 1], positions[row : row + 1], documents[row : row + 1]).logits()
        torch.testing.assert_close(together[row], alone[0])
