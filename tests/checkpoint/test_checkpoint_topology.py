"""A checkpoint says how the run was cut that saved it, and what its ranks had of their own is found by their places."""

from __future__ import annotations

import hashlib
import json

import pytest
from checkpoint_worlds import check_iteration, in_threads, save_fragments, save_iteration

from neox_core.checkpoint import Manifest, Reader
from neox_core.config import Topology


def rewritten(manifest, change):
    """The manifest with other content, and the digest that belongs to it."""
    content = json.loads(manifest.read_text())
    del content["sha256"]
    change(content)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    manifest.write_text(json.dumps({**content, "sha256": digest}))


def test_the_topology_is_that_of_the_run(tmp_path):
    topology = Topology(pipe=2, context=1, tensor=2)
    reader = Reader(save_fragments(tmp_path, [[]] * 4, topology))
    assert (reader.topology, reader.world_size) == (topology, 4)
    assert Manifest.read(reader.path).topology == topology


def test_without_one_ranks_differ_in_their_data(tmp_path):
    assert Reader(save_fragments(tmp_path, [[]] * 3)).topology == Topology(data=3)


def test_a_topology_of_other_ranks_is_a_mistake(tmp_path):
    mistakes = in_threads(2, lambda group: save_iteration(tmp_path, 1, group, topology=Topology(tensor=4)))
    assert [str(mistake) for mistake in mistakes] == ["tensor 4 is not the 2 ranks that save"] * 2
    assert not any(tmp_path.iterdir())


def test_a_manifest_from_before_there_were_topologies_is_read(tmp_path):
    path = in_threads(2, lambda group: save_iteration(tmp_path, 1, group))[0]
    rewritten(path / "manifest.json", lambda content: content.pop("topology"))
    check_iteration(path, 1)
    assert Reader(path).topology == Topology(data=2)


@pytest.mark.parametrize("saving", [range(8), (0, 4), (3, 5)])
def test_streams_are_those_of_data_parallel_ranks(tmp_path, saving):
    """Whichever ranks with the same samples have saved them; tensor-parallel ranks are neighbours."""
    topology = Topology(pipe=2, data=2, tensor=2)
    streams = {rank: {"batch": topology.place(rank).data} for rank in saving}
    reader = Reader(save_fragments(tmp_path, [[]] * 8, topology, streams))
    data = {topology.place(rank).data for rank in saving}
    assert reader.stream_states() == [{"batch": rank} if rank in data else None for rank in range(2)]


def test_a_run_without_streams_has_none(tmp_path):
    assert Reader(save_fragments(tmp_path, [[]] * 2)).stream_states() == [None, None]
