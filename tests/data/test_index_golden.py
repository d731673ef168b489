"""Every index array that GPT-NeoX wrote in the recorded runs, by its file's name."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from neox_core.data.samples.index_request import IndexRequest, index_base
from neox_core.data.splits import split_boundaries
from neox_core.data.token_files import open_tokens
from neox_core.testing.recorded_files import RULES

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = json.loads((GOLDEN / "gpt-neox-indices.json").read_text())
BASES = sorted({name.rsplit("_", 2)[0] for name in RECORDED})
NAME = re.compile(r"(tokens_[ab])_(train|valid|test)(_\d)?_indexmap_(\d+)ns_(\d+)sl_(\d+)s_(\w+?)pi(_ac)?")


def usable_documents(tokens, seq_length, rule):
    """Those that have a label among their first `seq_length` entries; both sides of the recorded pairs are as long."""
    return np.array([bool((rule(i, tokens[i].astype(int))[:seq_length] != -100).any()) for i in range(len(tokens))])


def recorded_documents(name, of_list, num_samples, tokens):
    """A path of a list is read whole; a `data_path` was split, in the run with 240 samples in another way."""
    if of_list:
        return np.arange(len(tokens), dtype=np.int32)
    boundaries = split_boundaries("100,500,400" if num_samples == 240 else "900,60,40", len(tokens))
    split = ("train", "valid", "test").index(name)
    return np.arange(boundaries[split], boundaries[split + 1], dtype=np.int32)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("compat", [False, True])
def test_equals_the_arrays_that_gpt_neox_wrote(base, compat):
    prefix, name, of_list, *numbers, pack, chopped = NAME.fullmatch(base).groups()
    num_samples, seq_length, seed = map(int, numbers)
    tokens = open_tokens(GOLDEN / prefix)
    pairs = chopped is None
    _, rule = RULES["last" if pairs else "labels"]
    request = IndexRequest(
        pack=pack,
        sizes=tokens.sizes,
        documents=recorded_documents(name, of_list, num_samples, tokens),
        demand=num_samples,
        seq_length=seq_length,
        seed=seed,
        usable=usable_documents(tokens, seq_length, rule) if pack == "unpacked" else None,
        pairs=pairs,
        compat=compat,
    )
    assert index_base(prefix, f"{name}{of_list or ''}", request, allow_chopped=True).name == base
    index = request.build()
    for kind in ("doc_idx", "sample_idx", "shuffle_idx"):
        array, recorded = getattr(index, kind), RECORDED[f"{base}_{kind}.npy"]
        assert [str(array.dtype), list(array.shape)] == [recorded["dtype"], recorded["shape"]]
        assert array.reshape(-1)[: len(recorded["first"])].tolist() == recorded["first"]
        assert hashlib.sha256(array.tobytes()).hexdigest() == recorded["sha256"]
