from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from neox_core.data.preparing.forms.texts import TextForm, masked_before
from neox_core.data.preparing.records import BadDocument
from neox_core.errors import UserError


def encode(texts):
    """One token a character; spaces give none."""
    return [np.array([ord(letter) for letter in text if letter != " "], np.uint16) for text in texts]


def made(fields, **options):
    """What a form makes of one document, as lists by column."""
    form = TextForm(encode, np.dtype(np.uint16), **options)
    (result,) = form.encode([form.parse(fields)])
    if result is None:
        return None
    return {column.name: part.tolist() for column, part in zip(form.columns, result, strict=True)}


def test_text_becomes_tokens():
    assert made({"text": "ab", "other": 1}) == {"text": [97, 98]}
    assert made("ab", keys=("body",)) == {"body": [97, 98]}
    assert made({"text": "ab"}, eod=7) == {"text": [97, 98, 7]}
    assert made({"text": ["a", "b"]}) == {"text": [97, 10, 10, 98]}
    assert made({"text": "ab"}, clean=str.upper) == {"text": [65, 66]}


def test_each_key_has_its_own_text():
    assert made({"a": "x", "b": "yz"}, keys=("a", "b"), eod=0) == {"a": [120, 0], "b": [121, 122, 0]}


@pytest.mark.parametrize("eod", [None, 0])
def test_document_without_tokens_is_none(eod):
    assert made({"text": ""}, eod=eod) is None
    assert made({"text": "  "}, eod=eod) is None
    assert made({"a": "x", "b": " "}, keys=("a", "b"), eod=eod) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "no key 'text'; there are: none"),
        ({"body": 1, "id": 2}, "no key 'text'; there are: body, id"),
        ({"text": None}, "'text' is of kind null"),
        ({"text": 3}, "kind number"),
        ({"text": {}}, "kind object"),
        ({"text": ["a", 1]}, "kind array"),
        ({"text": []}, "kind array"),
        ({"text": "a\ud800"}, r"U\+D800 at character 1: half of a surrogate pair"),
    ],
)
def test_document_without_the_text_is_bad(fields, reason):
    with pytest.raises(BadDocument, match=reason):
        made(fields)


def test_bare_text_cannot_have_two_keys():
    with pytest.raises(BadDocument, match="a bare text, where the keys a, b are expected"):
        made("text", keys=("a", "b"))


def test_labels_lie_beside_the_tokens():
    labelled = made({"text": "q?a?"}, eod=0, mask_before=[ord("?")])
    assert labelled == {"text": [113, 63, 97, 63, 0], "label": [-100, -100, 97, 63, 0]}
    form = TextForm(encode, np.dtype(np.uint16), mask_before=[1])
    assert [column.dtype for column in form.columns] == [np.int32, np.int32]


def test_several_keys_have_labels_each():
    labelled = made({"a": "x?", "b": "?y"}, keys=("a", "b"), mask_before=[ord("?")])
    assert labelled == {"a": [120, 63], "b": [63, 121], "a_label": [-100, -100], "b_label": [-100, 121]}


@pytest.mark.parametrize("keys", [("label",), ("a", "a_label")])
def test_key_that_is_named_like_its_labels_is_an_error(keys):
    with pytest.raises(UserError, match="is the name of the labels"):
        _ = TextForm(encode, np.dtype(np.uint16), keys=keys, mask_before=[1]).columns


def first_match(tokens, pattern):
    """The labels, token by token."""
    for start in range(len(tokens) - len(pattern) + 1):
        if tokens[start : start + len(pattern)] == pattern:
            return [-100] * (start + len(pattern)) + tokens[start + len(pattern) :]
    return tokens


@given(st.lists(st.integers(0, 2), max_size=30), st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_everything_up_to_the_first_match_is_masked(tokens, pattern):
    labels = masked_before(np.array(tokens, np.uint16), np.array(pattern))
    assert labels.dtype == np.int32
    assert labels.tolist() == first_match(tokens, pattern)
