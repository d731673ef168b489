"""What ranks hold and share: the mesh, shards of parameters, parallel layers, and random numbers that no topology changes."""

from neox_core.parallel.axis import Axis
from neox_core.parallel.cuts import (
    Copies,
    Cut,
    Piece,
    copied_parameter,
    copies_of,
    cut,
    cut_of,
    evenly,
    global_shape,
    is_copy,
    local_part,
    put_part,
    shares,
    spec_of,
    sum_partial_gradients,
    with_partial_gradient,
)
from neox_core.parallel.layers import ColumnLinear, RowLinear, columns
from neox_core.parallel.mesh import Mesh
from neox_core.parallel.partition import Stage
from neox_core.parallel.random import StepRandom, derive_seed, generator
from neox_core.parallel.regions import TensorParallel
from neox_core.parallel.sequence import SequenceLayout, length_unit
from neox_core.parallel.shards import Block, Box, Fragment, Range, ShardSpec, of_rank

__all__ = [
    "Axis",
    "Block",
    "Box",
    "ColumnLinear",
    "Copies",
    "Cut",
    "Fragment",
    "Mesh",
    "Piece",
    "Range",
    "RowLinear",
    "SequenceLayout",
    "ShardSpec",
    "Stage",
    "StepRandom",
    "TensorParallel",
    "columns",
    "copied_parameter",
    "copies_of",
    "cut",
    "cut_of",
    "derive_seed",
    "evenly",
    "generator",
    "global_shape",
    "is_copy",
    "length_unit",
    "local_part",
    "of_rank",
    "put_part",
    "shares",
    "spec_of",
    "sum_partial_gradients",
    "with_partial_gradient",
]
