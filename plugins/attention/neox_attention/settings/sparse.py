"""Keys of block-sparse attention."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from neox_core.config import Settings, allowed, setting
from neox_core.errors import did_you_mean

Count = Annotated[int, Field(gt=0)]
Index = Annotated[int, Field(ge=0)]


class SparsityConfig(BaseModel):
    """What `sparsity_config` says, with GPT-NeoX's names and defaults. Where a key is None, each variant has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    block: Count = Field(16, description="Tokens a side")
    different_layout_per_head: bool = Field(False, description="Whether heads see different blocks")
    num_local_blocks: Count | None = Field(None, description="Blocks of a window")
    num_sliding_window_blocks: Count | None = Field(None, description="Blocks of a window that both sides share")
    num_global_blocks: Index = Field(1, description="Blocks that stand for a window, or that all see")
    num_random_blocks: Index | None = Field(None, description="Further blocks that each block sees")
    num_different_global_patterns: Count = Field(1, description="Choices of the blocks that stand for a window")
    local_window_blocks: list[Count] = Field([4], min_length=1, description="Blocks of each window; the last repeats")
    global_block_indices: list[Index] = Field([0], description="Blocks that all later ones see")
    global_block_end_indices: list[Count] | None = Field(
        None, description="Ends of ranges that begin there, exclusive; none: single blocks"
    )

    @property
    def global_ranges(self) -> list[tuple[int, int]]:
        """Ranges [start, stop) of global blocks."""
        starts = self.global_block_indices
        return list(zip(starts, self.global_block_end_indices or [start + 1 for start in starts], strict=True))


class SparseSettings(Settings, group="sparse"):
    """Block-sparse attention: local, sparse_fixed, sparse_variable, bigbird, bslongformer."""

    sparsity_config: dict[str, Any] | None = setting(
        None,
        "Which blocks are seen: `block` (tokens a side), num_local_blocks, num_global_blocks, num_random_blocks, "
        "num_sliding_window_blocks, num_different_global_patterns, local_window_blocks, global_block_indices, "
        "global_block_end_indices, different_layout_per_head",
        from_checkpoint="match",
        origin="gpt-neox",
    )

    @field_validator("sparsity_config")
    @classmethod
    def _is_understood(cls, given: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            SparsityConfig.model_validate(given or {})
        except ValidationError as error:
            raise ValueError("; ".join(_complaints(error, given or {}))) from None
        return given

    @property
    def sparsity(self) -> SparsityConfig:
        """`sparsity_config`, typed and with defaults."""
        return SparsityConfig.model_validate(self.sparsity_config or {})


def _complaints(error: ValidationError, given: dict[str, Any]) -> Iterator[str]:
    """A sentence for each key that is wrong."""
    details = {str(detail["loc"][0]): detail["type"] for detail in error.errors()}
    for key, kind in details.items():
        if kind == "extra_forbidden":
            hint = did_you_mean(key, list(SparsityConfig.model_fields))
            yield f"it has no {key!r}, {hint}"
        else:
            value = json.dumps(given[key], default=str)
            yield f"{key} {value} is not {allowed(SparsityConfig, key)}"
