"""What ranks hold and share: shards of parameters, and random numbers that do not depend on the topology."""

from neox_core.parallel.random import StepRandom, derive_seed, generator
from neox_core.parallel.shards import Block, Box, Fragment, Range, ShardSpec

__all__ = ["Block", "Box", "Fragment", "Range", "ShardSpec", "StepRandom", "derive_seed", "generator"]
