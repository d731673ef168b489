"""What a recorded run of GPT-NeoX says of itself: the JSON file that the golden runner reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from neox_core.errors import UserError


class Part(BaseModel):
    """A part of a fixture. What it has beside the fields is left alone; a number that is not one is refused."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class TokenFiles(Part):
    """A `.bin` and an `.idx` beside the fixture, by the prefix of their names, or derived from others of the fixture by a rule."""

    file: str | None = None
    source: str | None = Field(None, alias="from")
    rule: str | None = None
    sha256_bin: str | None = None
    sha256_idx: str | None = None


class Logits(Part):
    """Of the first batch before any step."""

    shape: list[int]
    mean: float
    std: float
    logsumexp_row0: list[float]
    row0_every16_first8: list[list[float]]


class MicroBatch(Part):
    """Digests of what a micro-batch has, and the sum of its loss mask."""

    tokens: str
    labels: str
    mask_sum: float


class FinalParameter(Part):
    """A parameter after the last step: its L2 norm and its first values."""

    l2: float
    first4: list[float] = []


class Fixture(Part):
    """One run. `config`, `params`, `losses` and `batches` must be there; of the rest, what is there is compared."""

    config: dict[str, Any]
    data: dict[str, TokenFiles] = {}
    params: dict[str, list[PositiveInt]]
    vocabulary: PositiveInt = 500
    tokens_row0: list[int] | None = None
    logits: Logits | None = None
    eval_loss: float | None = None
    batches: list[MicroBatch]
    losses: list[float] = Field(min_length=1)
    lrs: list[float] | None = None
    grad_norms: list[float] | None = None
    final_params: dict[str, FinalParameter] = {}

    @classmethod
    def read(cls, path: Path) -> Fixture:
        """The fixture at `path`.

        Raises:
            UserError: there is no such file, or it is not a fixture; all that is wrong with it.
        """
        try:
            fixture = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise UserError(f"cannot be read as a fixture: {error.strerror}") from error
        except ValidationError as error:
            raise UserError(f"is not a fixture: {'; '.join(in_words(error))}") from error
        unknown = sorted(fixture.final_params.keys() - fixture.params.keys())
        if unknown:
            raise UserError(f"is not a fixture: final_params: '{unknown[0]}' is not among params")
        return fixture


def in_words(error: ValidationError) -> list[str]:
    """Where each mistake is, and what it is."""
    places = (".".join(str(part) for part in detail["loc"]) for detail in error.errors())
    return [
        f"{place}: {detail['msg']}" if place else detail["msg"]
        for place, detail in zip(places, error.errors(), strict=True)
    ]
