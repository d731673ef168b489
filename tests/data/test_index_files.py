"""Indices in files: under which names, and which files are used again."""

from __future__ import annotations

import io
import json
import resource
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoint_worlds import fork, wait
from hypothesis import given, settings, strategies as st

from neox_core.data.samples import building
from neox_core.data.samples.building import Builder
from neox_core.data.samples.index_checks import belongs
from neox_core.data.samples.index_files import stored_index
from neox_core.data.samples.index_request import IndexRequest, index_base
from neox_core.data.samples.sample_index import Epochs, SampleIndex
from neox_core.errors import UserError

NAMES = ("doc_idx", "sample_idx", "shuffle_idx")
PACKS = ("packed", "pack_until_overflow", "unpacked")
SIZES = np.array([5, 3, 8, 2, 7, 4, 6, 9], np.int32)
REQUEST = IndexRequest(
    pack="packed", sizes=SIZES, documents=np.arange(8, dtype=np.int32), demand=20, seq_length=4, seed=7
)


def of_pack(pack):
    return replace(REQUEST, pack=pack, seq_length=11 if pack == "pack_until_overflow" else 4)


def arrays(index):
    return [(array.dtype, array.tolist()) for array in (getattr(index, name) for name in NAMES)]


def written(directory):
    return sorted(path.name for path in directory.iterdir())


def write_as_gpt_neox(base, index):
    for name in NAMES:
        np.save(f"{base}_{name}.npy", getattr(index, name))


@pytest.mark.parametrize(
    ("changes", "allow_chopped", "name"),
    [
        ({}, True, "tokens_valid_0_indexmap_20ns_4sl_7s_packedpi_ac"),
        ({"demand": Epochs(3)}, True, "tokens_valid_0_indexmap_Nonens_4sl_7s_packedpi_ac"),
        ({"pack": "unpacked"}, False, "tokens_valid_0_indexmap_20ns_4sl_7s_unpackedpi"),
        (
            {"pack": "pack_until_overflow", "pairs": True},
            True,
            "tokens_valid_0_indexmap_20ns_4sl_7s_pack_until_overflowpi",
        ),
    ],
)
def test_files_have_the_names_of_gpt_neox(tmp_path, changes, allow_chopped, name):
    options = {"request": replace(REQUEST, **changes), "allow_chopped": allow_chopped}
    assert index_base("data/tokens", "valid_0", **options) == Path("data") / name
    assert index_base("data/tokens", "valid_0", directory=tmp_path, **options) == tmp_path / name


@pytest.mark.parametrize("pack", PACKS)
def test_files_are_those_of_numpy_and_are_mapped(tmp_path, pack):
    request = of_pack(pack)
    index = stored_index(tmp_path / "cache" / "base", request, Builder())
    assert arrays(index) == arrays(request.build())
    for name in NAMES:
        saved = io.BytesIO()
        np.save(saved, getattr(request.build(), name))
        assert (tmp_path / "cache" / f"base_{name}.npy").read_bytes() == saved.getvalue()
        assert isinstance(getattr(index, name).base, np.memmap)
    assert written(tmp_path / "cache") == [
        "base_doc_idx.npy",
        "base_index.json",
        "base_sample_idx.npy",
        "base_shuffle_idx.npy",
    ]


def test_an_index_without_windows_is_stored_too(tmp_path):
    request = replace(REQUEST, demand=Epochs(1), seq_length=1000)
    assert arrays(stored_index(tmp_path / "base", request, Builder())) == arrays(request.build())
    assert arrays(stored_index(tmp_path / "base", request, Builder(builds=False))) == arrays(request.build())


def test_without_a_base_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert arrays(stored_index(None, REQUEST, Builder(builds=False))) == arrays(REQUEST.build())
    assert written(tmp_path) == []


@pytest.mark.parametrize("pack", PACKS)
def test_an_index_is_made_once(tmp_path, pack):
    made = []
    for _ in range(3):
        stored_index(tmp_path / "base", of_pack(pack), Builder())
        made.append({path: path.stat().st_mtime_ns for path in tmp_path.iterdir()})
    assert made[0] == made[1] == made[2]
    assert len(made[0]) == 4


def test_making_one_is_told_when_it_takes_long(tmp_path, monkeypatch):
    said, build, told = [], IndexRequest.build, threading.Event()
    monkeypatch.setattr(building, "_QUIET", 0.01)
    monkeypatch.setattr(IndexRequest, "build", lambda request: told.wait(30) and build(request))

    def say(sentence):
        said.append(sentence)
        told.set()

    stored_index(tmp_path / "base", REQUEST, Builder(say=say))
    assert said == [f"making {tmp_path}/base_*.npy, which runs with the same data will find"]


@pytest.mark.parametrize("pack", PACKS)
def test_what_gpt_neox_made_is_used_as_it_is(tmp_path, pack):
    request = of_pack(pack)
    theirs = replace(request, seed=99).build()  # as another version might have shuffled
    write_as_gpt_neox(tmp_path / "base", theirs)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    expected = (
        theirs if pack != "unpacked" else SampleIndex(request.build().doc_idx, theirs.sample_idx, theirs.shuffle_idx)
    )
    for builder in (Builder(builds=False), Builder(), Builder(builds=False)):
        assert arrays(stored_index(tmp_path / "base", request, builder)) == arrays(expected)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert written(tmp_path) == ["base_doc_idx.npy", "base_index.json", "base_sample_idx.npy", "base_shuffle_idx.npy"]


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": SIZES[::-1].copy()},
        {"documents": np.arange(1, 8, dtype=np.int32)},
        {"demand": Epochs(1)},
        {"seq_length": 5},
        {"pack": "unpacked"},
        {"pack": "pack_until_overflow"},
    ],
)
@pytest.mark.parametrize("by_gpt_neox", [True, False])
def test_an_index_of_other_data_is_left_alone(tmp_path, changes, by_gpt_neox):
    other = replace(REQUEST, **changes)
    if by_gpt_neox:
        write_as_gpt_neox(tmp_path / "base", other.build())
    else:
        stored_index(tmp_path / "base", other, Builder())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder())) == arrays(REQUEST.build())
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder(builds=False))) == arrays(REQUEST.build())
    assert {path: path.read_bytes() for path in before} == before
    digest = REQUEST.digest()[:8]
    assert {f"base_{digest}_{name}.npy" for name in NAMES} < set(written(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": SIZES + 1},
        {"documents": np.arange(1, 8, dtype=np.int32)},
        {"demand": 21},
        {"demand": Epochs(1)},
        {"seq_length": 5},
        {"seed": 8},
        {"pack": "unpacked"},
        {"pack": "unpacked", "usable": SIZES > 3},
        {"pack": "unpacked", "pairs": True, "compat": True},
    ],
)
def test_the_digest_tells_what_an_index_depends_on(changes):
    digests = {
        request.digest() for request in (REQUEST, replace(REQUEST, pack="unpacked"), replace(REQUEST, **changes))
    }
    assert len(digests) == (2 if changes == {"pack": "unpacked"} else 3)


def test_the_digest_leaves_out_what_makes_no_difference():
    sizes = np.append(SIZES, np.int32(3))
    for change in ({"compat": True}, {"pairs": True}, {"usable": SIZES > 3}, {"sizes": sizes}):
        assert replace(REQUEST, **change).digest() == REQUEST.digest()


@pytest.mark.parametrize("missing", ["doc_idx.npy", "sample_idx.npy", "shuffle_idx.npy"])
def test_an_incomplete_index_is_made_again(tmp_path, missing):
    stored_index(tmp_path / "base", REQUEST, Builder())
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / f"base_{missing}").unlink()
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder())) == arrays(REQUEST.build())
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == whole


@pytest.mark.parametrize("with_record", [True, False])
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", None])
def test_a_damaged_index_is_made_again(tmp_path, damage, with_record):
    stored_index(tmp_path / "base", REQUEST, Builder())
    file = tmp_path / "base_sample_idx.npy"
    file.write_bytes(file.read_bytes()[:-8] if damage is None else damage)
    if not with_record:
        (tmp_path / "base_index.json").unlink()
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder())) == arrays(REQUEST.build())


def test_an_array_that_was_replaced_after_the_record_is_made_again(tmp_path):
    stored_index(tmp_path / "base", REQUEST, Builder())
    np.save(tmp_path / "base_shuffle_idx.npy", np.arange(1000, dtype=np.uint32))
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder())) == arrays(REQUEST.build())


def test_arrays_of_two_indices_do_not_belong(tmp_path):
    request = of_pack("pack_until_overflow")
    more = replace(request, demand=21).build()
    assert not belongs(replace(more, shuffle_idx=request.build().shuffle_idx), request)


def test_what_gpt_neox_made_is_used_where_neither_lock_nor_record_can_be_written(tmp_path):
    theirs = replace(REQUEST, seed=99).build()
    write_as_gpt_neox(tmp_path / "base", theirs)
    for name in (".base.lock", "base_index.json"):
        (tmp_path / name).mkdir()
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder())) == arrays(theirs)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 9, "digest": "", "bytes": {}}', "\ufffd"])
def test_a_record_that_cannot_be_read_counts_for_nothing(tmp_path, content):
    stored_index(tmp_path / "base", REQUEST, Builder())
    (tmp_path / "base_index.json").write_text(content)
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder())) == arrays(REQUEST.build())
    assert json.loads((tmp_path / "base_index.json").read_text())["digest"] == REQUEST.digest()


def test_a_pickle_is_never_loaded(tmp_path):
    for name in NAMES:
        np.save(tmp_path / f"base_{name}.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert arrays(stored_index(tmp_path / "base", REQUEST, Builder())) == arrays(REQUEST.build())


@st.composite
def requests(draw):
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(any))
    usable = np.array(draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)).filter(any)))
    return IndexRequest(
        pack=draw(st.sampled_from(PACKS)),
        sizes=np.array(sizes, np.int32),
        documents=np.arange(len(sizes), dtype=np.int32),
        demand=draw(st.integers(1, 30)),
        seq_length=draw(st.integers(1, 12)),
        seed=draw(st.integers(0, 100)),
        usable=usable,
        pairs=draw(st.booleans()),
        compat=draw(st.booleans()),
    )


@settings(max_examples=200)
@given(request=requests(), data=st.data())
def test_built_arrays_belong_and_changed_ones_do_not(request, data):
    index = request.build()
    assert belongs(index, request)
    name = data.draw(st.sampled_from(NAMES))
    changed = getattr(index, name).copy()
    if not changed.size:
        return
    place = data.draw(st.integers(0, changed.size - 1))
    values = st.integers(0, 40).filter(lambda value: value != changed.reshape(-1)[place])
    changed.reshape(-1)[place] = data.draw(values)
    assert not belongs(replace(index, **{name: changed}), request) or request.pack == "pack_until_overflow"
    assert not belongs(replace(index, **{name: getattr(index, name)[:-1]}), request)
    assert not belongs(replace(index, **{name: getattr(index, name).astype(np.float64)}), request)


def test_a_directory_that_cannot_be_written_is_named_with_the_setting_for_another(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/.*cannot be written: .*data_cache_path"):
        stored_index(tmp_path / "file" / "base", REQUEST, Builder())


def test_a_full_disk_leaves_nothing(tmp_path):
    request = replace(REQUEST, demand=10_000)

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # room for the first array
        with pytest.raises(UserError, match=r"sample_idx\.npy cannot be written: .*data_cache_path"):
            stored_index(tmp_path / "base", request, Builder())

    assert wait(fork(limited)) == 0
    assert written(tmp_path) == []
    assert request.build().doc_idx.nbytes < 49_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": SIZES * 0}, "hold no token"),
        ({"pack": "unpacked", "usable": SIZES < 0}, "None of the 8 documents"),
        ({"pack": "unpacked", "demand": Epochs(1)}, "train_epochs"),
    ],
)
@pytest.mark.parametrize("builds", [True, False])
def test_what_cannot_be_indexed_is_refused_by_every_rank(tmp_path, changes, message, builds):
    with pytest.raises(UserError, match=message):
        stored_index(tmp_path / "base", replace(REQUEST, **changes), Builder(builds=builds))
