"""Which architectures a family can express."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neox_core.config import ModelSettings, Resolved
from neox_core.errors import Problem, SettingsError


@dataclass(frozen=True, slots=True)
class Need:
    """A key that the family needs to have one of some values.

    Args:
        key: of the settings.
        values: what it may be.
    """

    key: str
    values: Collection[Any]

    def problems(self, family: str, found: Mapping[str, tuple[Any, ...]]) -> Iterator[Problem]:
        """One for each value that the family cannot express."""
        for value in found.get(self.key, ()):
            if value not in self.values:
                needed = " or ".join(_written(allowed) for allowed in self.values)
                message = f"{_written(value)} cannot be expressed by {family}, which needs {needed}"
                yield Problem(keys=(self.key,), message=message)


LOGITS = Need("train_impl", ("normal",))
"""Of all families."""

ATTENTION = (
    Need("attention_config", ("global", "flash")),
    Need("use_qk_layernorm", (False,)),
    Need("pos_emb", ("rotary",)),
    Need("moe_num_experts", (1,)),
)
"""Of all families that are transformers."""


def check(family: str, resolved: Resolved, needs: Iterable[Need]) -> None:
    """Whether the family can express an architecture.

    Raises:
        SettingsError: it cannot; all reasons.
    """
    found = architecture(resolved)
    problems = [problem for need in (LOGITS, *needs) for problem in need.problems(family, found)]
    if problems:
        raise SettingsError(problem._replace(origin=resolved.origin(problem.keys[0])) for problem in problems)


def architecture(resolved: Resolved) -> dict[str, tuple[Any, ...]]:
    """What each key comes to, of which there may be several: the mixers of all layers. What makes no other architecture
    comes to nothing."""
    model, values = resolved[ModelSettings], resolved.all_values()
    names = {key: values[key].casefold() for key in ("norm", "pos_emb", "activation")}
    derived = {
        "num_kv_heads": model.num_kv_heads or model.num_attention_heads,
        "gpt_j_tied": model.gpt_j_residual and model.gpt_j_tied,
    }
    return {
        **{key: (value,) for key, value in {**values, **names, **derived}.items()},
        "attention_config": tuple(sorted(set(resolved.layers))),
        "train_impl": () if resolved.head == "logits" else (values["train_impl"],),
        "moe_num_experts": (values["moe_num_experts"],) if any(resolved.mixtures) else (),
    }


def _written(value: Any) -> str:
    """As a file of settings has it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
