"""A plugin with a family of checkpoints: toy.json with settings, and tensors under names of its own, optimizer state among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from safetensors.torch import load_file, save_file

from neox_core.checkpoint import HeldTensors, Renamed
from neox_core.errors import UserError
from neox_core.files import whole_directory
from neox_core.plugins import Component, Converter


def neox_components() -> Iterable[Component]:
    yield Converter(name="toy", summary="a toy", factory="toy_family:ToyConverter", directories="toy_family:ToyFamily")
    yield Converter(
        name="absent", summary="not here", factory="no_such:Thing", directories="no_such:Thing", extra="no-such-extra"
    )


class ToyConverter:
    """Their names are ours with "toy." before them."""

    def __init__(self, resolved):
        if resolved.all_values()["pos_emb"] == "alibi":
            raise UserError("pos_emb: alibi is nothing for toys")

    def read(self, foreign):
        return {name.removeprefix("toy."): tensor for name, tensor in foreign.items()}

    def write(self, ours):
        return {f"toy.{name}": tensor for name, tensor in ours.items()}


@dataclass
class ToyCheckpoint:
    path: Path
    given: dict

    @cached_property
    def _described(self):
        return json.loads((self.path / "toy.json").read_text())

    @property
    def settings(self):
        return {**self._described["settings"], **self.given}

    @property
    def vocabulary(self):
        return self._described["vocabulary"]

    @property
    def progress(self):
        return self._described["progress"]

    tokenizer = None

    def verify(self):
        pass

    def weights(self, resolved):
        return self._of("weight")

    def states(self, resolved):
        return {role: self._of(role) for role in self._described["roles"] if role != "weight"}

    def _of(self, role):
        held = HeldTensors(load_file(self.path / f"{role}.safetensors"))
        return Renamed(held, {name.removeprefix("toy."): name for name in held})


class ToyFamily:
    def recognises(self, path):
        return (path / "toy.json").is_file()

    def open(self, path, given):
        return ToyCheckpoint(path, given)

    def check(self, resolved, options):
        ToyConverter(resolved)

    def write(self, exported, path, options):
        tensors = {"weight": exported.weights, **exported.states}
        with whole_directory(path) as place:
            for role, held in tensors.items():
                save_file({f"toy.{name}": held[name] for name in held}, place / f"{role}.safetensors")
            described = {
                "settings": dict(exported.resolved.values),
                "vocabulary": exported.resolved.vocabulary,
                "progress": exported.progress,
                "roles": list(tensors),
                "options": asdict(options),
            }
            (place / "toy.json").write_text(json.dumps(described))
