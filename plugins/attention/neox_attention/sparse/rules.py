"""Rules over several keys of `sparsity_config`, checked before a run is launched; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from neox_attention.layer_names import mixer_names
from neox_attention.settings.sparse import SparsityConfig
from neox_core.config import NeoXArgs
from neox_core.errors import Problem

KEY = "sparsity_config"


class Broken(NamedTuple):
    """A rule that is broken: what is wrong, and how to mend it."""

    message: str
    remedy: str


def windows_have_representatives(config: SparsityConfig) -> Iterator[Broken]:
    """Of each window the same number of blocks is global, and there are enough of them for each pattern."""
    size, standing = config.num_local_blocks or 4, config.num_global_blocks
    if standing == 0 or size % standing:
        message = f"num_global_blocks {standing} does not divide num_local_blocks {size}"
        yield Broken(message, "some of a window's blocks stand for it, as many in each pattern")
        return
    patterns, possible = config.num_different_global_patterns, size // standing
    if patterns > possible:
        message = f"num_different_global_patterns {patterns} is more than num_local_blocks {size} / num_global_blocks {standing}"
        yield Broken(message, f"there are {possible}")
    if patterns > 1 and not config.different_layout_per_head:
        message = f"num_different_global_patterns {patterns} differ between heads"
        yield Broken(message, "set different_layout_per_head: true")


def ranges_end_after_they_begin(config: SparsityConfig) -> Iterator[Broken]:
    """Each global range has an end."""
    starts, ends = config.global_block_indices, config.global_block_end_indices
    if ends is None:
        return
    if len(starts) != len(ends):
        message = f"{len(starts)} global_block_indices have {len(ends)} global_block_end_indices"
        yield Broken(message, "give one end for each, or none")
    for start, end in zip(starts, ends, strict=False):
        if start >= end:
            message = f"the global blocks that begin at {start} end at {end}, exclusive"
            yield Broken(message, f"give global_block_end_indices > {start}")


class Variant(NamedTuple):
    """What a variant reads of `sparsity_config` beside `block` and `different_layout_per_head`, and its rule."""

    keys: frozenset[str]
    rule: Callable[[SparsityConfig], Iterator[Broken]] = lambda config: iter(())


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMMON = _keys("block different_layout_per_head")
VARIANTS: Mapping[str, Variant] = {
    "local": Variant(_keys("num_local_blocks num_sliding_window_blocks")),
    "sparse_fixed": Variant(
        _keys("num_local_blocks num_global_blocks num_different_global_patterns"), windows_have_representatives
    ),
    "sparse_variable": Variant(
        _keys("num_random_blocks local_window_blocks global_block_indices global_block_end_indices"),
        ranges_end_after_they_begin,
    ),
    "bigbird": Variant(_keys("num_random_blocks num_sliding_window_blocks num_global_blocks")),
    "bslongformer": Variant(
        _keys("num_sliding_window_blocks global_block_indices global_block_end_indices"), ranges_end_after_they_begin
    ),
}


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """What is wrong with `sparsity_config` for the variants that the layers have; nothing where none of them is sparse."""
    used = sorted(VARIANTS.keys() & set(mixer_names(args.attention_config)))
    given: dict[str, Any] = args.sparsity_config or {}
    read = COMMON.union(*(VARIANTS[name].keys for name in used))
    for key in given if used else ():
        if key not in read:
            readers = ", ".join(name for name, variant in VARIANTS.items() if key in variant.keys)
            message = f"{key} is not read by {', '.join(used)}"
            yield Problem(keys=(KEY,), message=message, remedy=f"remove it; it belongs to {readers}", path=key)
    config = SparsityConfig.model_validate(given)
    for name in used:
        for broken in VARIANTS[name].rule(config):
            yield Problem(keys=(KEY,), message=f"{name}: {broken.message}", remedy=broken.remedy)
