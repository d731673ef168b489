"""Which parts of a model can be cut as the settings ask: checked before anything is launched, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from neox_core.config import ModelSettings, ParallelismSettings, Resolved
from neox_core.errors import Problem
from neox_core.model import tables
from neox_core.plugins import Attention, Feature, PluginManager


class Asked(NamedTuple):
    """A way of cutting that settings ask for.

    Args:
        key: the setting that asks.
        feature: what parts of the model must support.
        meaning: the feature in words.
        without: what to write to train without it.
    """

    key: str
    feature: Feature
    meaning: str
    without: str


KINDS = {"attention": "attention_config", "moe": "moe_type"}
"""Kinds of parts that say how they may be cut, and the settings that name them."""


def asked_ways(resolved: Resolved) -> Iterator[Asked]:
    """Those of a run."""
    topology = resolved.topology
    if topology.tensor > 1:
        yield Asked("model_parallel_size", Feature.TP, "tensor parallelism", "model_parallel_size: 1")
        if resolved[ParallelismSettings].sequence_parallel:
            yield Asked("sequence_parallel", Feature.SP, "sequence parallelism", "sequence_parallel: false")
    if topology.pipe > 1:
        yield Asked("pipe_parallel_size", Feature.PP, "pipeline parallelism", "pipe_parallel_size: 1")
    if topology.context > 1:
        yield Asked("context_parallel_size", Feature.CP, "context parallelism", "context_parallel_size: 1")


def parallel_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem for each way of cutting that some part of the model does not claim to support."""
    named = {"attention": resolved.layers, "moe": filter(None, resolved.mixtures)}
    for asked in asked_ways(resolved):
        for kind, names in named.items():
            if kind == "moe" and asked.feature is Feature.CP:
                continue  # refused for all mixtures
            parts = [plugins.find(kind, name).component for name in dict.fromkeys(names)]
            lacking = [part.name for part in parts if asked.feature not in part.supports]
            if lacking:
                yield _problem(asked, kind, lacking, resolved, plugins)
    yield from _norm_problems(resolved, plugins)
    yield from _width_problems(resolved, plugins)


def _problem(asked: Asked, kind: str, lacking: list[str], resolved: Resolved, plugins: PluginManager) -> Problem:
    able = {offer.component.name for offer in plugins.offers(kind) if asked.feature in offer.component.supports}
    value = resolved.all_values()[asked.key]
    return Problem(
        keys=(asked.key, KINDS[kind]),
        message=f"{asked.key} {value} asks for {asked.meaning}, which {kind} {', '.join(map(repr, lacking))} does not support",
        remedy=f"set {asked.without}" + (f", or use {_written(kind, sorted(able))}" if able else ""),
        origin=resolved.origin(asked.key),
    )


def _written(kind: str, able: list[str]) -> str:
    """How settings name parts that support what is asked for, of which the first is an example."""
    example = json.dumps([[[able[0]], "all"]]) if kind == "attention" else able[0]
    others = f" ({', '.join(able[1:])} can do it too)" if able[1:] else ""
    return f"{KINDS[kind]}: {example}{others}"


def _norm_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A norm of queries and keys is made for the heads of a rank, which a norm over all heads has to know of."""
    model, ranks = resolved[ModelSettings], resolved.topology.tensor
    if ranks == 1 or not model.use_qk_layernorm or model.norm.casefold() in tables.TABLES["norm"]:
        return
    if Feature.TP not in plugins.find("norm", model.norm).component.supports:
        yield Problem(
            keys=("use_qk_layernorm", "model_parallel_size", "norm"),
            message=f"norm '{model.norm}' does not say that it norms each head by itself, and model_parallel_size {ranks} gives "
            "each rank some of the heads",
            remedy="set model_parallel_size: 1, or use_qk_layernorm: false, or use another norm",
            origin=resolved.origin("norm"),
        )


def _width_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """Each tensor-parallel rank has some of the width of an MLP, where there are MLPs."""
    ranks, width = resolved.topology.tensor, resolved.mlp_width
    layers = [plugins.find("attention", name).component for name in dict.fromkeys(resolved.layers)]
    if width < ranks and any(not isinstance(mixer, Attention) or mixer.replaces != "block" for mixer in layers):
        yield Problem(
            keys=("intermediate_size", "model_parallel_size"),
            message=f"MLPs are {width} wide inside, less than model_parallel_size {ranks}, which leaves a rank without a part of them",
            remedy=f"set model_parallel_size: {width} or less, or a larger intermediate_size",
            origin=resolved.origin("intermediate_size"),
        )
