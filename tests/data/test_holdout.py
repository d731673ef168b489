from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from neox_core.data.corpora import distinct, load_corpus
from neox_core.data.holdout import hold_out


def passages(text, length):
    content = text.encode()
    return {content[i : i + length] for i in range(len(content) - length + 1)}


def sides(texts, held):
    return [t for t, h in zip(texts, held, strict=True) if not h], [t for t, h in zip(texts, held, strict=True) if h]


def noise(seed, length=1000):
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz \n", k=length))


@settings(max_examples=200)
@given(
    texts=st.lists(st.text(alphabet="abé\x00", max_size=40), max_size=25),
    share=st.floats(0, 1),
    passage=st.integers(1, 12),
)
def test_no_passage_is_on_both_sides_and_none_is_dropped_without_cause(texts, share, passage):
    held = hold_out(texts, share, passage)
    train, valid = sides(texts, held)
    trained = set().union(*(passages(text, passage) for text in train))
    assert all(trained.isdisjoint(passages(text, passage)) for text in valid)
    block = (passage + 1) // 2
    candidates = hold_out_candidates(texts, share)
    for number, text in enumerate(texts):
        if candidates[number] and not held[number]:
            others = (other for i, other in enumerate(texts) if i != number and not held[i])
            assert any(passages(text, block) & passages(other, block) for other in others)


def hold_out_candidates(texts, share):
    """With passages longer than any text nothing is dropped."""
    return hold_out(texts, share, 10_000)


def test_about_the_share_is_held_out_of_unrelated_texts():
    texts = [noise(seed) for seed in range(600)]
    held = sum(hold_out(texts, 0.1))
    assert 40 <= held <= 80


def test_choice_depends_on_the_content_alone():
    texts = [noise(seed) for seed in range(100)]
    held = dict(zip(texts, hold_out(texts, 0.3), strict=True))
    shuffled = random.Random(5).sample(texts, len(texts))
    assert dict(zip(shuffled, hold_out(shuffled, 0.3), strict=True)) == held
    assert hold_out(texts[:50], 0.3) == [held[text] for text in texts[:50]]


def test_shared_passage_at_any_offset_sends_a_text_to_training():
    texts = [noise(seed) for seed in range(40)]
    held = hold_out(texts, 0.3)
    candidate, training = held.index(True), held.index(False)
    for offset in (0, 1, 57, 99, 100, 101, 799, 800):
        copied = texts[training] + texts[candidate][offset : offset + 200] + "!"
        others = [*texts[:training], copied, *texts[training + 1 :]]
        after = hold_out(others, 0.3)
        assert after[candidate] == after[training]  # both in training, or both held out


def test_dropping_one_drops_those_that_share_with_it():
    # Of each pair of neighbours the second begins with the end of the first, so that one text in training moves them all.
    chain = [noise(seed) for seed in range(30)]
    chain = [text + chain[(i + 1) % 30][:300] for i, text in enumerate(chain)]
    assert True in hold_out(chain, 0.6, 10_000)
    assert hold_out(chain, 0.6) == [False] * 30


def test_same_text_is_on_one_side():
    texts = [noise(seed, 50) for seed in range(30)] * 2
    held = hold_out(texts, 0.5)
    assert held[:30] == held[30:]


def test_standard_library_is_split_cleanly():
    texts = [document.text for document in distinct(load_corpus("stdlib").documents())]
    train, valid = sides(texts, hold_out(texts))
    assert sum(map(len, valid)) > 50_000
    assert set(train).isdisjoint(valid)
    held = set().union(*(passages(text, 200) for text in valid))
    for text in train:
        content = text.encode()
        assert not any(content[i : i + 200] in held for i in range(len(content) - 199))
