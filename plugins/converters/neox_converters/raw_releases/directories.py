"""Directories of releases: params.json, consolidated.NN.pth or consolidated.safetensors, and tokenizer.model."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from neox_converters.described import Described
from neox_converters.tokenizer_files import MODEL, is_sentence_piece
from neox_converters.weights_alone import WeightsAlone
from neox_core.data.tokenizers import TokenizerSource, read_source
from neox_core.errors import UserError

if TYPE_CHECKING:
    from neox_converters.raw_releases.weights import RawConverter
    from neox_core.checkpoint import Exported, ExportOptions, Family, LazyTensors
    from neox_core.config import Resolved

PARAMS = "params.json"
NUMBER = re.compile(r"\.(\d+)\.")
FILES = re.compile(r"consolidated(\.\d+)?\.(pth|safetensors)")


class Release(ABC):
    """One family of releases. A `Family` that is only read."""

    converter: ClassVar[str]
    """Name of the converter."""

    hugging_face: ClassVar[str]
    """The converter of Hugging Face's form of the same models."""

    known: ClassVar[frozenset[str]]
    """Keys of params.json that there may be."""

    longest: ClassVar[int]
    """Positions where params.json does not say it; nothing in the model depends on it."""

    @abstractmethod
    def is_own(self, params: Described) -> bool:
        """Whether params.json is of this family."""

    @abstractmethod
    def further(self, params: Described) -> dict[str, Any]:
        """Settings that the families do not share.

        Raises:
            UserError: params.json says what settings cannot.
        """

    @abstractmethod
    def weights(self, resolved: Resolved) -> RawConverter:
        """The converter of weights."""

    def recognises(self, path: Path) -> bool:
        """By params.json and a file of weights."""
        params = Described.seen(path / PARAMS)
        return params is not None and self.is_own(params) and any(FILES.fullmatch(file.name) for file in path.iterdir())

    def open(self, path: Path, given: Mapping[str, Any]) -> ReleasedCheckpoint:
        """A directory; `given` may say `max_position_embeddings`, which no release does.

        Raises:
            UserError: a file is missing, or params.json says what neox does not have.
        """
        params = Described.read(path / PARAMS)
        unknown = sorted(params.values.keys() - self.known)
        if unknown:
            raise UserError(
                f"{params.path}: {unknown[0]}: {params.get(unknown[0])!r} is nothing that neox knows of {self.converter}; it knows "
                f"{', '.join(sorted(self.known))}"
            )
        return ReleasedCheckpoint(path, self, params, released_files(path), given)

    def check(self, resolved: Resolved, options: ExportOptions) -> NoReturn:
        """Never: it is only read.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"--to {self.converter}: such releases are only read; Hugging Face's form is {self.hugging_face}"
        )

    def write(self, exported: Exported, path: Path, options: ExportOptions) -> NoReturn:
        """Never.

        Raises:
            UserError: always.
        """
        self.check(exported.resolved, options)


class LlamaRelease(Release):
    """Meta's LLaMA, LLaMA 2 and LLaMA 3."""

    converter = "llama"
    hugging_face = "hf-llama"
    longest = 2048
    known = frozenset(
        [
            "dim",
            "n_layers",
            "n_heads",
            "n_kv_heads",
            "vocab_size",
            "multiple_of",
            "ffn_dim_multiplier",
            "norm_eps",
            "rope_theta",
            "use_scaled_rope",
            "max_batch_size",
            "max_seq_len",
        ]
    )

    def is_own(self, params: Described) -> bool:
        """Mistral's say `hidden_dim`."""
        return "dim" in params and "hidden_dim" not in params

    def further(self, params: Described) -> dict[str, Any]:
        """The base of the rotation."""
        params.require("use_scaled_rope", (False,), False, "a scaling of the positions")
        return {"rotary_emb_base": params.whole("rope_theta", 10000)}

    def weights(self, resolved: Resolved) -> RawConverter:
        """The converter of weights."""
        from neox_converters.raw_releases.weights import llama as make

        return make(resolved)


class MistralRelease(Release):
    """Mistral 7B and what has its form. The window counts a token itself, ours does not."""

    converter = "mistral"
    hugging_face = "hf-mistral"
    longest = 32768
    known = frozenset(
        [
            "dim",
            "n_layers",
            "head_dim",
            "hidden_dim",
            "n_heads",
            "n_kv_heads",
            "norm_eps",
            "vocab_size",
            "rope_theta",
            "sliding_window",
            "tied_embeddings",
            "max_seq_len",
            "max_position_embeddings",
            "max_batch_size",
            "model_type",
        ]
    )

    def is_own(self, params: Described) -> bool:
        """Meta's do not say `hidden_dim`."""
        return "dim" in params and "hidden_dim" in params

    def further(self, params: Described) -> dict[str, Any]:
        """The window; and the base of the rotation, which was another one in the models that have a window."""
        window = params.get("sliding_window")
        if window is None:
            return {"rotary_emb_base": params.whole("rope_theta", 1_000_000)}
        if isinstance(window, bool) or not isinstance(window, int) or window < 2:
            raise params.wrong("sliding_window", window, "a whole number > 1")
        return {"rotary_emb_base": params.whole("rope_theta", 10_000), "sliding_window_width": window - 1}

    def weights(self, resolved: Resolved) -> RawConverter:
        """The converter of weights."""
        from neox_converters.raw_releases.weights import mistral as make

        return make(resolved)


@dataclass(frozen=True)
class ReleasedCheckpoint(WeightsAlone):
    """One release. A `ForeignCheckpoint`.

    Args:
        path: its directory.
        release: its family.
        params: its params.json.
        files: with weights, by rank.
        given: settings of a user.
    """

    path: Path
    release: Release
    params: Described
    files: tuple[Path, ...]
    given: Mapping[str, Any]

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What tensors and params.json say; torch reads the tensors' shapes."""
        from neox_converters.raw_releases.measures import measure

        measured = measure(self.path, self.params, self._tensors)
        params = self.params
        said = params.get("max_position_embeddings", params.get("max_seq_len"))
        longest = self.release.longest if said is None else said
        return {
            **measured,
            "max_position_embeddings": longest,
            "seq_length": longest,
            "norm": "rmsnorm",
            "rms_norm_epsilon": params.number("norm_eps", 1e-5),
            "pos_emb": "rotary",
            "activation": "swiglu",
            "use_bias_in_attn_linear": False,
            "use_bias_in_mlp": False,
            "make_vocab_size_divisible_by": 1,
            **self.release.further(params),
            **self._tokenizer_settings(),
            **self.given,
        }

    def verify(self) -> None:
        """Files of torch by their archives' sums; those of safetensors have none."""
        from neox_converters.archives import verify_archives

        verify_archives(self.files)

    @cached_property
    def tokenizer(self) -> TokenizerSource | None:
        """SentencePiece's tokenizer.model, here or, as LLaMA's is, one directory up."""
        places = [place / MODEL for place in (self.path, self.path.parent)]
        found = next((place for place in places if place.is_file()), None)
        return read_source("SPMTokenizer", found) if found is not None and is_sentence_piece(found) else None

    def weights(self, resolved: Resolved) -> LazyTensors:
        """The weights, each read, and put together of its ranks' parts, when it is asked for."""
        return self.release.weights(resolved).reading(self._tensors)

    @cached_property
    def _tensors(self) -> LazyTensors:
        from neox_converters.raw_releases.shards import open_release

        return open_release(self.files)


def released_files(path: Path) -> tuple[Path, ...]:
    """The files with weights, by rank; safetensors where there are both.

    Raises:
        UserError: one of a rank is missing.
    """
    found = sorted(file for file in path.iterdir() if FILES.fullmatch(file.name))
    safe = [file for file in found if file.suffix == ".safetensors"]
    files = safe or found
    numbers = [int(number[1]) for file in files if (number := NUMBER.search(file.name))]
    missing = sorted(set(range(len(numbers))) - set(numbers))
    if missing:
        raise UserError(
            f"{path}: consolidated.{missing[0]:02d}.pth is missing, and consolidated.{max(numbers):02d}.pth is there; get it too"
        )
    if not files or (numbers and len(numbers) != len(files)):
        raise UserError(
            f"{path}: there is {PARAMS}, and not consolidated.00.pth and so on, one for each rank; get them too"
        )
    return tuple(files)


def llama() -> Family:
    """Meta's."""
    return LlamaRelease()


def mistral() -> Family:
    """Mistral's."""
    return MistralRelease()
