"""The parallel transformer: its skeleton, the contracts of its exchangeable parts, and the core's tables of small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.model.activations import Gated as Gated
    from neox_core.model.block import Block as Block, Carry as Carry
    from neox_core.model.converter import WeightConverter as WeightConverter
    from neox_core.model.dropout import drop_weights as drop_weights, dropped as dropped
    from neox_core.model.head import Head as Head, HeadOutput as HeadOutput
    from neox_core.model.init import (
        Initialiser as Initialiser,
        initialise as initialise,
        initialiser as initialiser,
        tag as tag,
        uniform as uniform,
    )
    from neox_core.model.mixer import LayerCache as LayerCache, LayerContext as LayerContext, Mixer as Mixer
    from neox_core.model.mlp import MLP as MLP
    from neox_core.model.model import LanguageModel as LanguageModel
    from neox_core.model.mup import MuP as MuP
    from neox_core.model.norms import without_decay as without_decay
    from neox_core.model.objective import (
        Batch as Batch,
        LossOutput as LossOutput,
        Objective as Objective,
        WeighingObjective as WeighingObjective,
    )
    from neox_core.model.operations import flops_per_token as flops_per_token, of_weights as of_weights
    from neox_core.model.positions import Positions as Positions
    from neox_core.model.tables import make as make

__getattr__ = lazy_names(
    __name__,
    {
        "activations": ("Gated",),
        "block": ("Block", "Carry"),
        "converter": ("WeightConverter",),
        "dropout": ("drop_weights", "dropped"),
        "head": ("Head", "HeadOutput"),
        "init": ("Initialiser", "initialise", "initialiser", "tag", "uniform"),
        "mixer": ("LayerCache", "LayerContext", "Mixer"),
        "mlp": ("MLP",),
        "model": ("LanguageModel",),
        "mup": ("MuP",),
        "norms": ("without_decay",),
        "objective": ("Batch", "LossOutput", "Objective", "WeighingObjective"),
        "operations": ("flops_per_token", "of_weights"),
        "positions": ("Positions",),
        "tables": ("make",),
    },
)
