"""`soft_prompt_tuning`: what is in its mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neox_core.config.plain import shown
from neox_core.config.validation import allowed
from neox_core.config.world import World
from neox_core.errors import Problem, did_you_mean

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

KEY = "soft_prompt_tuning"


class SoftPromptOptions(BaseModel):
    """A trained prompt of embeddings (Lester et al., 2021).

    Args:
        enabled: whether there is one.
        num_tokens: its length; GPT-NeoX's code calls it `n_tokens`.
        init_string: a text whose embeddings it begins with, repeated or cut to its length; empty for none.
        init_range: without such a text it begins between minus and plus this, uniformly.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    enabled: bool
    num_tokens: int = Field(10, gt=0)
    init_string: str = ""
    init_range: float = Field(0.5, gt=0)

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> SoftPromptOptions | None:
        """The prompt that `soft_prompt_tuning` describes, or None where it is off.

        Raises:
            ValidationError: it describes none.
        """
        options = cls.model_validate(_renamed(given)) if given else None
        return options if options is not None and options.enabled else None


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"num_tokens" if name == "n_tokens" else name: value for name, value in given.items()}


def soft_prompt_is_described(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A rule: names and values of the mapping are right."""
    given = args.soft_prompt_tuning or {}
    if "num_tokens" in given and "n_tokens" in given:
        yield _problem("num_tokens", "num_tokens and n_tokens are both given", "they mean the same; keep num_tokens")
        return
    try:
        SoftPromptOptions.of(given)
    except ValidationError as error:
        names = dict.fromkeys(str(detail["loc"][0]) for detail in error.errors())
        yield from (_refusal(name, given) for name in names)


def prompt_length(given: Mapping[str, Any] | None) -> int:
    """Places that the prompt takes; 0 where there is none, or where a mistake in the mapping hides it."""
    try:
        prompt = SoftPromptOptions.of(given)
    except ValidationError:
        return 0
    return 0 if prompt is None else prompt.num_tokens


def _refusal(name: str, given: Mapping[str, Any]) -> Problem:
    options = SoftPromptOptions.model_fields
    if name not in options:
        return _problem(name, f"there is no such option {name!r}", did_you_mean(name, list(options)))
    words = allowed(SoftPromptOptions, name)
    if name not in _renamed(given):
        # GPT-NeoX's documentation has true as the default of `enabled`, its code has false
        return _problem(name, f"{name} must be given", words)
    written = name if name in given else "n_tokens"
    return _problem(written, f"{written}: {shown(given[written])} is not {words}")


def _problem(name: str, message: str, remedy: str | None = None) -> Problem:
    return Problem(keys=(KEY,), message=message, remedy=remedy, path=name)
