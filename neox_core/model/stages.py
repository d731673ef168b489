"""Which layers of a model each stage of a pipeline has."""

from __future__ import annotations

from neox_core.config import ModelSettings, Resolved
from neox_core.parallel import Mesh, Stage
from neox_core.plugins import PluginManager


def stage_of(resolved: Resolved, plugins: PluginManager, mesh: Mesh) -> Stage:
    layers, pipe = resolved[ModelSettings].num_layers, mesh.pipe
    bounds = [layers * place // pipe.size for place in range(pipe.size + 1)]
    return Stage(range(bounds[pipe.rank], bounds[pipe.rank + 1]), pipe.rank, pipe.size)
