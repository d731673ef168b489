"""The table of the documentation: what each field in NeMo's vocabulary is in the flat settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from neox_recipes.data import DataModule, PreTrainingDataModule
from neox_recipes.logs import Log, Resume
from neox_recipes.models import GPTConfig
from neox_recipes.optimizers import AdamConfig, CosineAnnealing
from neox_recipes.part import Meaning, Part
from neox_recipes.trainer import Trainer

PLACES: Final[tuple[tuple[str, type[Part]], ...]] = (
    ("model.config", GPTConfig),
    ("data", DataModule),
    ("data", PreTrainingDataModule),
    ("trainer", Trainer),
    ("optim.config", AdamConfig),
    ("optim.lr_scheduler", CosineAnnealing),
    ("log", Log),
    ("resume", Resume),
)
"""Where each part stands among the arguments of `pretrain`."""


def as_markdown() -> str:
    """A row for each field: its path, the class that first has it, the keys that it sets, and what they are set to."""
    head = ["| field | of | key | value |", "|---|---|---|---|"]
    return "\n".join([*head, *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    met: set[str] = set()
    for place, part in PLACES:
        for name, meaning in part.meanings.items():
            path = f"{place}.{name}"
            if path not in met:
                met.add(path)
                yield f"| `{path}` | `{part.__name__}` | {_keys(meaning)} | {meaning.words or 'the same'} |"


def _keys(meaning: Meaning) -> str:
    return ", ".join(f"`{key}`" for key in meaning.keys)
