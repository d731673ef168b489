"""Samples of whole documents, texts and pairs, from files to arrays: against the rules written out one document at a time."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.datasets import Sampling, listed_datasets
from neox_core.data.named import Part
from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.splits import SampleCounts
from neox_core.data.token_files import TokenFileWriter
from neox_core.errors import UserError

SEED = 5


class Slow:
    """The samples of documents that are lists of tokens, with labels in which None is what is not to be predicted."""

    def __init__(self, sides, *, seq_length, pack, num_samples, allow_chopped, compat):
        self.sides, self.seq_length, self.pack = sides, seq_length, pack
        self.num_samples, self.allow_chopped, self.compat = num_samples, allow_chopped, compat
        self.pairs, self.documents = len(sides) == 2, len(sides[0])
        if not any(map(self.is_usable, range(self.documents))):
            raise LookupError
        random = np.random.RandomState(SEED)
        self.shuffled = np.arange(num_samples)
        if compat and self.pairs and pack == "unpacked":
            self.shuffled = np.array([i % self.documents for i in range(num_samples)])
        random.shuffle(self.shuffled)
        order = self.usable_in_turn(random)
        self.read, self.rows = [], []
        {"unpacked": self.one_each, "pack_until_overflow": self.fill}[pack](order)

    def usable_in_turn(self, random):
        order = np.arange(self.documents)
        while True:
            if self.pack != "unpacked":
                random.shuffle(order)
            for document in order.tolist():
                if self.is_usable(document):
                    yield document

    def is_usable(self, document):
        if self.pack == "pack_until_overflow":
            looked_at = slice(0, self.seq_length + 1)
        else:
            looked_at = slice(0, self.seq_length) if self.compat else slice(1, self.seq_length + 1)
        for side in self.sides:
            tokens = side[document]
            if all(label is None for _, label in tokens[looked_at]):
                return False
            if not self.allow_chopped:
                if self.compat and self.pairs and self.pack == "pack_until_overflow":
                    if len(tokens) < self.seq_length + 1:
                        return False
                elif len(tokens) > self.seq_length + 1:
                    return False
        return True

    def one_each(self, order):
        self.read = [next(order) for _ in range(self.num_samples + 1)]
        self.rows = list(range(self.num_samples + 1))

    def fill(self, order):
        filled = None
        while len(self.rows) < self.num_samples:
            document = next(order)
            longest = max(len(side[document]) for side in self.sides)
            if filled is None or filled + longest > self.seq_length + 1:
                self.rows.append(len(self.read))
                filled = longest
            else:
                filled += longest
            self.read.append(document)
        self.rows.append(len(self.read))

    def sample(self, i):
        window = int(self.shuffled[i])
        documents, following = (
            self.read[self.rows[window] : self.rows[window + 1]],
            self.read[self.rows[window + 1] :][:1],
        )
        if not following and self.compat:
            instead = window % max(self.num_samples - 1, 1)
            if instead != i:
                return self.sample(instead)
        found = []
        for side in self.sides:
            tokens = [token for document in documents for token in side[document]]
            if self.compat:
                tokens += [side[document][0] for document in following]
            tokens = (tokens + [(0, None)] * (self.seq_length + 1))[: self.seq_length + 1]
            found.append(([token for token, _ in tokens], [-100 if label is None else label for _, label in tokens]))
        return found


DOCUMENT = st.lists(st.tuples(st.integers(1, 99), st.none() | st.integers(1, 99)), min_size=1, max_size=9)
NUMBERS = count()


def write(directory, side):
    name = str(directory / f"side{next(NUMBERS)}")
    for suffix, part in (("", 0), ("_label", 1)):
        with TokenFileWriter(f"{name}{suffix}", "int32") as writer:
            for document in side:
                writer.add(np.array([-100 if pair[part] is None else pair[part] for pair in document]))
    return DocumentFiles(name, f"{name}_label")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("sides")


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("pack", ["unpacked", "pack_until_overflow"])
@settings(max_examples=30, deadline=None)
@given(
    sides=st.lists(st.tuples(DOCUMENT, DOCUMENT), min_size=1, max_size=8),
    pairs=st.booleans(),
    seq_length=st.integers(2, 8),
    demand=st.integers(1, 20),
    allow_chopped=st.booleans(),
)
def test_samples_are_those_of_the_rules(directory, pack, compat, sides, pairs, seq_length, demand, allow_chopped):
    columns = list(zip(*sides, strict=True))[: 2 if pairs else 1]
    slow = {"seq_length": seq_length, "pack": pack, "allow_chopped": allow_chopped, "compat": compat}
    files = [write(directory, side) for side in columns]
    part = Part((files[0],), tuple(files[1:]))
    sampling, counts = Sampling(seed=SEED, **slow), SampleCounts(train=demand, valid=1, test=1)
    try:
        expected = Slow(columns, num_samples=math.ceil(demand * 1.005), **slow)
    except LookupError:
        with pytest.raises(UserError, match="can serve as a sample"):
            listed_datasets({"train": part}, counts, sampling)
        return
    found = listed_datasets({"train": part}, counts, sampling).train
    names = [("pos", "pos_label"), ("neg", "neg_label")] if pairs else [("text", "label")]
    for i in range(found.windows):
        sample = found[i]
        assert [tuple(sample[name].tolist() for name in side) for side in names] == [
            tuple(side) for side in expected.sample(i)
        ]
