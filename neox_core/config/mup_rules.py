"""Rules over the settings of muP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neox_core.config.world import World
from neox_core.errors import Notice, Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

FACTORS = ("mup_init_scale", "mup_embedding_mult", "mup_attn_temp", "mup_output_temp")
"""Keys of which GPT-NeoX says that they are for muP alone."""


def mup_has_a_base(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """How much wider a model is can only be said against another one."""
    if args.use_mup and args.base_shapes_file is None and args.base_shapes is None:
        yield Problem(
            keys=("use_mup", "base_shapes_file"),
            message="muP scales a model by how much wider it is than a base model, whose shapes are not given",
            remedy="make them with `neox mup shapes FILES --width N --output base.yml`, and set base_shapes_file: base.yml",
        )


def shapes_are_saved_somewhere(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The file to write has a name."""
    if args.save_base_shapes and args.base_shapes_file is None:
        yield Problem(
            keys=("save_base_shapes", "base_shapes_file"),
            message="there is no file to write the shapes to",
            remedy="set base_shapes_file",
        )


def coordinates_are_checked_by_a_command(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Measuring activations at several widths is no part of a training run."""
    if args.coord_check:
        yield Problem(
            keys=("coord_check",),
            message="true: a run trains one model, and does not end in the middle to measure others",
            remedy="`neox mup coord-check FILES` measures activations at several widths; take coord_check away to train",
            limitation=True,
        )


def factors_need_mup(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """What has no effect without muP."""
    for key in FACTORS:
        if not args.use_mup and getattr(args, key) != 1.0:
            yield Notice(keys=(key,), message="has no effect without use_mup: true")


MUP_RULES = (mup_has_a_base, shapes_are_saved_somewhere, coordinates_are_checked_by_a_command)
MUP_NOTICES = (factors_need_mup,)
