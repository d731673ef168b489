"""The record of what each step was trained on."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from neox_core.errors import UserError
from neox_core.training.ledger import BatchDigest, Ledger, LedgerEntry, ledger_file, recorded


def batch(first):
    return {"tokens": torch.arange(first, first + 6).view(2, 3), "loss_mask": torch.ones(2, 3)}


def digest(*batches):
    found = BatchDigest()
    for one in batches:
        found.add(one)
    return str(found)


def test_a_digest_is_of_names_and_bytes_in_the_order_of_names():
    one = batch(5)
    content = b"loss_mask" + one["loss_mask"].numpy().tobytes() + b"tokens" + one["tokens"].numpy().tobytes()
    assert digest(one) == hashlib.sha256(content).hexdigest()
    assert digest(dict(reversed(one.items()))) == digest(one)


def test_a_digest_notices_another_number_another_field_and_another_order():
    one, other = batch(0), batch(1)
    masked = {**one, "loss_mask": one["loss_mask"].clone()}
    masked["loss_mask"][1, 2] = 0
    found = {digest(one), digest(other), digest(masked), digest({"tokens": one["tokens"]})}
    assert len(found | {digest(one, other), digest(other, one)}) == 6


def test_a_step_is_what_was_taken_since_the_one_before(tmp_path):
    ledger = Ledger(ledger_file(tmp_path, 3))
    batches = ledger.watch(iter([batch(0), batch(1), batch(2)]))
    assert next(batches)["tokens"][0, 0] == 0
    next(batches)
    ledger.record(7, 40)
    next(batches)
    ledger.record(8, 44)
    assert recorded(tmp_path, 3, 7) == LedgerEntry(7, 40, digest(batch(0), batch(1)))
    assert recorded(tmp_path, 3, 8) == LedgerEntry(8, 44, digest(batch(2)))
    assert recorded(tmp_path, 3, 9) is None
    assert recorded(tmp_path, 0, 7) is None


def test_without_a_file_nothing_is_written(tmp_path):
    ledger = Ledger(None)
    assert [one["tokens"][0, 0].item() for one in ledger.watch(iter([batch(4), batch(5)]))] == [4, 5]
    ledger.record(1, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["{", "[]", '{"step": 1}', "null"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = ledger_file(tmp_path, 0)
    path.parent.mkdir()
    path.write_text(json.dumps({"step": 1, "position": 0, "sha256": "a"}) + f"\n{line}\n")
    assert recorded(tmp_path, 0, 1).sha256 == "a"
    with pytest.raises(UserError, match=r"rank-0\.jsonl:2: is no line of a ledger"):
        recorded(tmp_path, 0, 2)


@pytest.mark.parametrize("content", [b"\xff\xfe\n", None])
def test_a_ledger_that_cannot_be_read_is_named(tmp_path, content):
    path = ledger_file(tmp_path, 0)
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"rank-0\.jsonl"):
        recorded(tmp_path, 0, 1)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "ledger").write_text("in the way")
    ledger = Ledger(ledger_file(tmp_path, 0))
    with pytest.raises(UserError, match="sample_ledger: none"):
        ledger.record(1, 0)
