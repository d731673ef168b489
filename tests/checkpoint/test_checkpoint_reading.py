"""What a reader gives back, and every way in which a checkpoint can be damaged."""

from __future__ import annotations

import errno
import io
import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from checkpoint_worlds import SIZES, check_iteration, fragments, save_iteration, values, whole

from neox_core.checkpoint import DamagedCheckpoint, Reader, load_fragments
from neox_core.errors import UserError
from neox_core.parallel.shards import Block, Fragment, ShardSpec

FILES = [
    "manifest.json",
    "index.json",
    "state.json",
    "settings.yml",
    "plugins.json",
    "tokenizer.json",
    "random/rank-00000.json",
    "streams/rank-00000.json",
    "shards/rank-00000.safetensors",
]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return save_iteration(tmp_path_factory.mktemp("save"), 1)


@pytest.fixture
def checkpoint(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "global_step1")


def test_the_damage_tests_cover_every_file(pristine):
    assert sorted(FILES) == sorted(str(path.relative_to(pristine)) for path in pristine.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_is_found_and_named(checkpoint, name):
    content = (checkpoint / name).read_bytes()
    for size in {0, 1, len(content) // 2, len(content) - 1}:
        (checkpoint / name).write_bytes(content[:size])
        with pytest.raises(DamagedCheckpoint, match=name) as error:
            Reader(checkpoint)
        if name != "manifest.json":
            assert f"expected {len(content)} bytes, found {size} bytes" in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_found_and_named(checkpoint, name):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    generator = random.Random(seed)
    content = (checkpoint / name).read_bytes()
    for position in [0, len(content) - 1, *(generator.randrange(len(content)) for _ in range(10))]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << generator.randrange(8)
        (checkpoint / name).write_bytes(flipped)
        with pytest.raises(DamagedCheckpoint, match=name):
            check_iteration(checkpoint, 1)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_or_longer_file_is_found_and_named(checkpoint, name):
    with (checkpoint / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(DamagedCheckpoint, match=name):
        Reader(checkpoint)
    (checkpoint / name).unlink()
    with pytest.raises(DamagedCheckpoint, match=f"{name} is damaged: expected .* found no file"):
        Reader(checkpoint)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_disk_does_not_give_is_named(checkpoint, name, monkeypatch):
    """As a disk with a bad sector, or a server of files that has lost it."""
    refused, opened = checkpoint / name, io.open

    def failing(path, *arguments, **options):
        if Path(path) == refused:
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(io, "open", failing)
    with pytest.raises(DamagedCheckpoint, match=rf"{name} is damaged: it cannot be read \(Input/output error\)"):
        check_iteration(checkpoint, 1)


@pytest.mark.parametrize("content", ["[]", "0", "null", "{}", '{"sha256": "0"}', '{"sha256": 1, "format": 1}'])
def test_a_manifest_that_is_something_else_is_damaged(checkpoint, content):
    (checkpoint / "manifest.json").write_text(content)
    with pytest.raises(DamagedCheckpoint, match=r"manifest\.json is damaged"):
        Reader(checkpoint)


def test_a_newer_format_is_refused_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("neox_core.checkpoint.manifest.FORMAT_VERSION", 2)
    path = save_iteration(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(UserError, match="has checkpoint format 2, and this version of neox reads format 1"):
        Reader(path)


def test_only_the_shards_that_are_needed_are_read(tmp_path):
    spec = ShardSpec.complete("head.weight", (4,))
    path = save_iteration(tmp_path, 1)
    shard = path / "shards" / "rank-00000.safetensors"
    shard.write_bytes(bytes(shard.stat().st_size))
    reader = Reader(path)
    assert reader.state["consumed_samples"] == 8
    assert set(reader.names) == set(SIZES)
    with pytest.raises(UserError, match="no parameter"):
        reader.verify(spec, "weight", (0, 4))
    with pytest.raises(DamagedCheckpoint, match="rank-00000"):
        reader.verify(whole("norm.weight"), "weight", (0, 4))


def test_what_is_not_there_is_said_in_a_sentence(pristine):
    reader = Reader(pristine)
    with pytest.raises(UserError, match=r"has no file 'merges\.txt'; it has: index\.json, plugins\.json"):
        reader.file("merges.txt")
    with pytest.raises(UserError, match=r"there is no parameter 'norm\.wait' \(did you mean 'norm\.weight'\?\)"):
        reader.read(ShardSpec.complete("norm.wait", (4,)), "weight", (0, 4))
    with pytest.raises(UserError, match=r"norm\.weight was not saved as 'exp_avg_sq', only as: "):
        reader.read(whole("norm.weight"), "exp_avg_sq", (0, 4))
    with pytest.raises(UserError, match=r"norm\.weight was saved with shape \(4,\) and is \(8,\) in this model"):
        reader.read(ShardSpec.complete("norm.weight", (8,)), "weight", (0, 4))
    assert reader.roles("norm.wait") == ()
    assert reader.random_state(1) is None
    assert reader.stream_state(1) is None


def test_a_part_of_a_whole_tensor_is_read(pristine):
    half = ShardSpec("norm.weight", (4,), (Block(((0, 2),), ((2, 4),)),))
    assert torch.equal(Reader(pristine).read(half, "weight", (0, 2)), values(1, "norm.weight", "weight")[2:])


def test_reading_into_a_tensor_converts_and_keeps_its_storage(pristine):
    reader, spec = Reader(pristine), whole("norm.weight")
    out = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    assert reader.read(spec, "weight", (0, 4), out=out) is out
    assert torch.equal(out, values(1, "norm.weight", "weight").double())
    assert reader.read(spec, "weight", (2, 2)).shape == (0,)


def zeroed(live):
    for fragment in live:
        fragment.tensor.zero_()
    return live


def test_live_fragments_take_the_saved_values(pristine):
    live = zeroed(fragments(2))
    load_fragments(Reader(pristine), iter(live))
    for fragment, saved in zip(live, fragments(1), strict=True):
        assert torch.equal(fragment.tensor, saved.tensor)


def test_a_scalar_without_dimensions_is_loaded_in_place(pristine):
    step = torch.tensor(0.0)
    load_fragments(Reader(pristine), [Fragment(whole("norm.weight"), "step", (0, 1), step, scalar=True)])
    assert step.item() == 1.0


def test_nothing_is_loaded_when_something_cannot_be(pristine):
    live = zeroed(fragments(2))
    absent = Fragment(ShardSpec.complete("head.bias", (2,)), "weight", (0, 2), torch.zeros(2))
    with pytest.raises(UserError, match=r"head\.bias"):
        load_fragments(Reader(pristine), [*live, absent])
    assert not any(fragment.tensor.any() for fragment in live)


def test_random_states_are_those_of_each_rank(pristine):
    assert Reader(pristine).random_state(0) == {"iteration": 1, "rank": 0}
    assert json.loads((pristine / "random" / "rank-00000.json").read_text()) == {"iteration": 1, "rank": 0}
