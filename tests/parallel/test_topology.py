"""Which rank is where, and whom it communicates with."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, strategies as st

from neox_core.config import Topology
from neox_core.config.topology import AXES
from neox_core.parallel import Mesh

topologies = st.builds(Topology, **{axis: st.integers(1, 3) for axis in AXES})


def test_ranks_are_numbered_by_stage_then_data_then_context_then_tensor():
    topology = Topology(pipe=2, data=2, context=2, tensor=2)
    places = list(itertools.product(range(2), repeat=4))
    assert [tuple(topology.place(rank)) for rank in range(16)] == places
    assert topology.group(5, "tensor") == (4, 5)
    assert topology.group(5, "pipe") == (5, 13)
    assert topology.group(0, "data", "context") == (0, 2, 4, 6)


@given(topologies)
def test_places_and_groups_cover_all_ranks_once(topology):
    assert [topology.rank_at(topology.place(rank)) for rank in range(topology.size)] == [*range(topology.size)]
    for axes in (*((axis,) for axis in AXES), ("data", "context")):
        groups = list(topology.groups(*axes))
        assert sorted(rank for group in groups for rank in group) == [*range(topology.size)]


@given(topologies, st.sets(st.sampled_from(AXES)))
def test_a_group_is_the_ranks_that_differ_along_its_axes_alone(topology, axes):
    places = [topology.place(rank)._asdict() for rank in range(topology.size)]
    for rank, own in enumerate(places):
        alike = [number for number, place in enumerate(places) if all(place[a] == own[a] for a in {*AXES} - axes)]
        assert topology.group(rank, *axes) == (*alike,)


def test_groups_of_many_ranks_take_no_time():
    """One rank after the other would be compared with all others: 10^10 comparisons."""
    topology = Topology(pipe=10, data=1000, tensor=10)
    assert len([*topology.groups("data", "context")]) == 100
    assert len([*topology.groups("context")]) == topology.size


@given(topologies, st.integers(1, 4))
def test_experts_are_dealt_among_ranks_with_the_same_weights(topology, size):
    if topology.replicas % size:
        with pytest.raises(ValueError, match=f"groups of {size} for experts"):
            topology.experts(size)
        return
    dealt, alike = topology.experts(size)
    assert sorted(itertools.chain(*dealt)) == sorted(itertools.chain(*alike)) == [*range(topology.size)]
    for shared, copies in itertools.product(dealt, alike):
        assert len(shared) == size
        assert len(copies) * size == topology.replicas
        same = {*copies} <= {*topology.group(shared[0], "data", "context")}
        assert len({*shared} & {*copies}) == same


@given(topologies)
def test_a_mesh_without_groups_has_the_sizes_of_the_topology(topology):
    for rank in range(topology.size):
        mesh = Mesh.without_groups(topology, rank)
        assert (mesh.pipe.size, mesh.data.size, mesh.context.size, mesh.tensor.size) == topology.shape
        assert (mesh.pipe.rank, mesh.data.rank, mesh.context.rank, mesh.tensor.rank) == topology.place(rank)
        assert mesh.replicas.ranks[mesh.replicas.rank] == rank


def test_an_axis_without_ranks_is_refused():
    with pytest.raises(ValueError, match="an axis without ranks"):
        Topology(tensor=0)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_ranks_that_share_experts_have_a_group(workers, size):
    shared = workers(4).run("mesh_ranks:sums_over_experts", size)
    firsts = [rank // size * size for rank in range(4)]
    assert [one for one, _ in shared] == [sum(range(first, first + size)) for first in firsts]
    assert [other for _, other in shared] == [sum(range(rank % size, 4, size)) for rank in range(4)]


def test_without_groups_what_all_ranks_have_is_as_large_as_with_them():
    axis = Mesh.without_groups(Topology(tensor=3), 1).tensor
    assert axis.gather(torch.ones(2, 3), 1).shape == (2, 9)
    assert axis.gather_uneven(torch.ones(2, 3), 1, [2, 3, 3]).shape == (2, 8)
