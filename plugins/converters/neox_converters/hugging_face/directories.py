"""Directories as transformers' `save_pretrained` writes them and hubs have them. What reads no tensor costs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_converters.described import Described
from neox_converters.hugging_face.configuration import TORCH_NAMES, Configuration, Shapes
from neox_converters.hugging_face.gpt_neox_config import GPTNeoXConfiguration
from neox_converters.hugging_face.llama_config import LlamaConfiguration, MistralConfiguration
from neox_converters.hugging_face.mamba_config import MambaConfiguration
from neox_converters.safetensors_header import DTYPES, Entry, read_header
from neox_converters.tokenizer_files import find_tokenizer
from neox_converters.weights_alone import WeightsAlone
from neox_core.errors import UserError
from neox_core.files import whole_directory, write_file

if TYPE_CHECKING:
    from torch import Tensor

    from neox_converters.hugging_face.family import HuggingFaceConverter
    from neox_core.checkpoint import Exported, ExportOptions, Family, LazyTensors
    from neox_core.config import Resolved
    from neox_core.data.tokenizers import TokenizerSource

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files with weights, best first; of many, with `.index.json` behind their name."""


class HuggingFaceFamily:
    """Checkpoints of one family of transformers on disk. A `Family`."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def recognises(self, path: Path) -> bool:
        """By `model_type`."""
        config = Described.seen(path / CONFIG)
        return config is not None and config.get("model_type") == self.configuration.model_type

    def open(self, path: Path, given: Mapping[str, Any]) -> HuggingFaceCheckpoint:
        """A directory; what is given takes the place of what config.json says.

        Raises:
            UserError: there is no config.json, or no weights.
        """
        return HuggingFaceCheckpoint(path, self.configuration, Described.read(path / CONFIG), weight_files(path), given)

    def check(self, resolved: Resolved, options: ExportOptions) -> None:
        """Whether the family has such models.

        Raises:
            UserError: it has not; or files are to be cut for ranks, or in a type that cannot be.
        """
        name = self.configuration.converter
        if options.tensor != 1 or options.pipe != 1:
            raise UserError(
                f"--tp and --pp: files of {name} are not cut for ranks: leave them out, or write --to gpt-neox"
            )
        self._converter(resolved)

    def write(self, exported: Exported, path: Path, options: ExportOptions) -> None:
        """config.json, generation_config.json, weights as safetensors, and the tokenizer with what lies beside it.

        Raises:
            UserError: what `check` raises, or the file system refuses; nothing is there then.
        """
        from neox_converters.hugging_face.tokenizer_roles import GENERATION
        from neox_converters.hugging_face.tokenizer_writing import write_tokenizer
        from neox_converters.safetensors_writing import write_safetensors

        self.check(exported.resolved, options)
        dtype = TORCH_NAMES[exported.resolved.precision] if options.dtype == "auto" else options.dtype
        weights = self._converter(exported.resolved).stored(exported.weights, dtype)
        with whole_directory(path) as place:
            config = self.configuration.config(exported.resolved, dtype)
            special = write_tokenizer(place, exported.tokenizer, config.get("max_position_embeddings"))
            _write_json(place / CONFIG, {**config, **special})
            if not (place / GENERATION).exists():  # which may go along with the tokenizer
                _write_json(place / GENERATION, special)
            write_safetensors(place, weights)

    def reference(self, path: Path, tokens: Tensor) -> tuple[str, Tensor] | None:
        """What transformers computes."""
        from neox_converters.hugging_face.reference import logits

        return logits(path, tokens)

    def _converter(self, resolved: Resolved) -> HuggingFaceConverter:
        return converter(self.configuration, resolved)


@dataclass(frozen=True)
class HuggingFaceCheckpoint(WeightsAlone):
    """One directory. A `ForeignCheckpoint`.

    Args:
        path: the directory.
        configuration: of its family.
        config: its config.json.
        files: with weights.
        given: settings of a user.
    """

    path: Path
    configuration: Configuration
    config: Described
    files: tuple[Path, ...]
    given: Mapping[str, Any]

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What config.json says, held against the headers of the files."""
        entries = self._entries
        shapes: Shapes | None = None if entries is None else {name: entry.shape for name, entry in entries.items()}
        embedding = (entries or {}).get(self.configuration.embedding)
        dtype = None if embedding is None else DTYPES[embedding.dtype]
        return {**self.configuration.settings(self.config, shapes, dtype), **self._tokenizer_settings(), **self.given}

    def verify(self) -> None:
        """Files of torch by their archives' sums; those of safetensors have none."""
        from neox_converters.archives import verify_archives

        verify_archives(self.files)

    @cached_property
    def tokenizer(self) -> TokenizerSource | None:
        """tokenizer.json, or SentencePiece's tokenizer.model, or vocab.json with merges.txt."""
        return find_tokenizer(self.path)

    def weights(self, resolved: Resolved) -> LazyTensors:
        """The weights, each read when it is asked for."""
        from neox_converters.file_tensors import open_files

        return converter(self.configuration, resolved).reading(open_files(self.files))

    @cached_property
    def _entries(self) -> Mapping[str, Entry] | None:
        """The headers of all files; None for pickles, which have none."""
        if any(file.suffix != ".safetensors" for file in self.files):
            return None
        return {name: entry for file in self.files for name, entry in read_header(file).items()}


def converter(configuration: Configuration, resolved: Resolved) -> HuggingFaceConverter:
    """The family's converter of weights.

    Raises:
        SettingsError: the family cannot express the architecture.
    """
    from neox_converters.plugin import HUGGING_FACE
    from neox_core.plugins import resolve

    made: HuggingFaceConverter = resolve(f"neox_converters.hugging_face.{HUGGING_FACE[configuration.converter]}")(
        resolved
    )
    return made


def weight_files(path: Path) -> tuple[Path, ...]:
    """The files of a directory that have its weights.

    Raises:
        UserError: there are none, an index cannot be read, or names a file that is not there.
    """
    for name in WEIGHTS:
        if (path / name).is_file():
            return (path / name,)
        index = path / f"{name}.index.json"
        if index.is_file():
            return tuple(_indexed(index))
    raise UserError(
        f"{path}: there is {CONFIG}, and no weights: neither {' nor '.join(WEIGHTS)}, nor an index of many; get them too"
    )


def _indexed(index: Path) -> Iterator[Path]:
    described = Described.read(index).inner("weight_map").values
    names = dict.fromkeys(sorted(map(str, described.values())))
    if not names:
        raise UserError(f"{index}: there is no 'weight_map' that names files; get it anew")
    for name in names:
        file = index.parent / name
        if Path(name).name != name:
            raise UserError(f"{index}: {name!r} is not the name of a file beside it; get it anew")
        if not file.is_file():
            raise UserError(f"{index} names {name}, which is not there; get all files of the checkpoint")
        yield file


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_file(path, json.dumps(values, indent=2, sort_keys=True) + "\n")


def gpt_neox() -> Family:
    """`GPTNeoXForCausalLM`."""
    return HuggingFaceFamily(GPTNeoXConfiguration())


def llama() -> Family:
    """`LlamaForCausalLM`."""
    return HuggingFaceFamily(LlamaConfiguration())


def mistral() -> Family:
    """`MistralForCausalLM`."""
    return HuggingFaceFamily(MistralConfiguration())


def mamba() -> Family:
    """`MambaForCausalLM`."""
    return HuggingFaceFamily(MambaConfiguration())
