"""What config.json of a family of transformers says, in our keys, and the other way; costs no torch."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from neox_converters.described import Described
from neox_core.config import ModelSettings, Resolved
from neox_core.errors import UserError

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of stored tensors, by name."""

PRECISIONS = {"float32": "fp32", "bfloat16": "bfloat16", "float16": "fp16"}
"""Our names of number formats, by torch's."""

TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Torch's names, by those of a resolved run."""


class Measured(NamedTuple):
    """A number of config.json that a tensor shows.

    Args:
        key: in config.json.
        value: what the tensor shows.
        tensor: its name; of a number of tensors the name of the last.
    """

    key: str
    value: int
    tensor: str


class Configuration(ABC):
    """That of one family; each is a subclass."""

    converter: ClassVar[str]
    """Name of the converter."""

    model_type: ClassVar[str]
    """What config.json calls the family."""

    architecture: ClassVar[str]
    """The class of transformers that has a head for language modelling."""

    embedding: ClassVar[str]
    """Name of the embedding's weight in files."""

    head: ClassVar[str] = "lm_head.weight"
    """Name of the head's."""

    layer: ClassVar[str]
    """What names in layers begin with, up to their number."""

    ties: ClassVar[bool] = False
    """Whether the head is the embedding unless config.json says otherwise."""

    @abstractmethod
    def model(self, config: Described) -> dict[str, Any]:
        """Keys of the architecture, beside those that all families have.

        Raises:
            UserError: config.json says what our settings cannot.
        """

    @abstractmethod
    def described(self, resolved: Resolved) -> dict[str, Any]:
        """The same the other way."""

    @abstractmethod
    def measured(self, config: Described, shapes: Shapes) -> Iterator[Measured]:
        """What tensors show of numbers that are in config.json too, beside those of embedding and layers."""

    def settings(self, config: Described, shapes: Shapes | None, dtype: str | None) -> dict[str, Any]:
        """Settings in our keys.

        Args:
            config: config.json.
            shapes: of the stored tensors; None where nobody has looked.
            dtype: type of the stored embedding, by torch's name; None likewise.

        Raises:
            UserError: config.json says what our settings cannot, or tensors show something else.
        """
        self._refuse(config)
        if shapes is not None:
            config = config.with_values(dict(self._agreed(config, shapes)))
        tied = config.flag("tie_word_embeddings", self.ties)
        return {
            "num_layers": config.whole("num_hidden_layers"),
            "hidden_size": config.whole("hidden_size"),
            **self.model(config),
            "no_weight_tying": not tied,
            "vocab_size": config.whole("vocab_size"),
            "make_vocab_size_divisible_by": 1,
            **self._precision(config, dtype),
        }

    def config(self, resolved: Resolved, dtype: str) -> dict[str, Any]:
        """config.json of a run's model, its weights being of this type; with the keys of transformers 4 and of 5."""
        model = resolved[ModelSettings]
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "vocab_size": resolved.padded_vocab_size,
            "hidden_size": model.hidden_size,
            "num_hidden_layers": model.num_layers,
            "initializer_range": model.init_method_std,
            "tie_word_embeddings": not model.no_weight_tying,
            "use_cache": True,
            **self.described(resolved),
            "torch_dtype": dtype,
            "dtype": dtype,
        }

    def _refuse(self, config: Described) -> None:
        named = config.get("architectures")
        if named and self.architecture not in named:
            raise UserError(
                f"{config.path}: architectures {json.dumps(named)} end with something else than a head for language modelling; neox "
                f"reads {self.architecture}"
            )
        method = config.get("quantization_config")
        if method is not None:
            kind = method.get("quant_method") if isinstance(method, dict) else method
            raise UserError(
                f"{config.path}: quantization_config: the weights are quantised ({kind}), and neox computes with plain numbers; get "
                "those that they were made of, or let transformers dequantize() and save them"
            )
        if config.inner("auto_map").get("AutoModelForCausalLM") is not None:
            raise UserError(
                f"{config.path}: auto_map: the model is computed by Python code beside it, which neox does not run; if it is the "
                f"same as {self.architecture}, remove auto_map"
            )

    def _agreed(self, config: Described, shapes: Shapes) -> Iterator[tuple[str, int]]:
        """What tensors show of config.json's numbers.

        Raises:
            UserError: config.json says otherwise; all differences are named.
        """
        self._check_head(config, shapes)
        found = [*self._all_measured(config, shapes)]
        wrong = [
            f"{key}: {json.dumps(config.get(key))} is {value} by {_described(tensor, shapes)}"
            for key, value, tensor in found
            if key in config and config.get(key) != value
        ]
        if wrong:
            raise UserError(f"{config.path}: {'; '.join(wrong)}: mend it, or put it beside its own weights")
        yield from ((key, value) for key, value, _ in found)

    def _check_head(self, config: Described, shapes: Shapes) -> None:
        if self.embedding not in shapes:
            raise UserError(
                f"{config.path.parent}: there is no '{self.embedding}' among its weights, which {self.architecture} has; they begin "
                f"with {', '.join(sorted(shapes)[:3]) or 'nothing'}"
            )
        if not {self.head, Configuration.head} & shapes.keys() and not config.flag("tie_word_embeddings", self.ties):
            raise UserError(
                f"{config.path.parent}: there is no '{self.head}' among its weights, and tie_word_embeddings is false; if the head is "
                "the embedding, set it to true in config.json"
            )

    def _all_measured(self, config: Described, shapes: Shapes) -> Iterator[Measured]:
        rows, width = matrix(shapes, self.embedding, config)
        yield Measured("vocab_size", rows, self.embedding)
        yield Measured("hidden_size", width, self.embedding)
        numbers = {int(part) for name in shapes if (part := _number(name, self.layer)).isdigit()}
        last = max(numbers, default=0)
        yield Measured("num_hidden_layers", len(numbers), f"{self.layer}{last}")
        yield from self.measured(config.with_values({"hidden_size": width}), shapes)

    @staticmethod
    def _precision(config: Described, dtype: str | None) -> dict[str, Any]:
        said = dtype or config.get("dtype", config.get("torch_dtype"))
        return {"precision": PRECISIONS[said]} if said in PRECISIONS else {}


def _described(tensor: str, shapes: Shapes) -> str:
    """A tensor and its shape, or where weights are counted the last one's beginning."""
    return (
        f"'{tensor}' {list(shapes[tensor])}"
        if tensor in shapes
        else f"the weights, of which the last are in '{tensor}'"
    )


def _number(name: str, before: str) -> str:
    return name.removeprefix(before).partition(".")[0] if name.startswith(before) else ""


def matrix(shapes: Shapes, name: str, config: Described) -> tuple[int, int]:
    """Rows and columns of a weight.

    Raises:
        UserError: it is not there, or no matrix.
    """
    shape = shapes.get(name)
    if shape is None or len(shape) != 2:
        found = "is not there" if shape is None else f"is {list(shape)}"
        raise UserError(f"{config.path.parent}: '{name}', which should be a matrix, {found}; get the weights anew")
    return shape[0], shape[1]


class Rotation(NamedTuple):
    """Rotary positions.

    Args:
        base: of the frequencies.
        share: of each head that is rotated.
    """

    base: int
    share: float


def rotation(config: Described, base_key: str, share_key: str, share: float) -> Rotation:
    """What config.json says of rotary positions, in today's form or an earlier one.

    Args:
        config: config.json.
        base_key: once the key of the base, beside which there is no other.
        share_key: once that of the share of a head.
        share: where nothing says it.

    Raises:
        UserError: the positions are scaled, or the base is no whole number.
    """
    for key in ("rope_parameters", "rope_scaling"):
        scaled = config.inner(key)
        kind = scaled.get("rope_type", scaled.get("type", "default"))
        if kind != "default":
            raise UserError(
                f"{config.path}: {key}: positions are scaled by '{kind}', and neox has rotary positions as they were first "
                "described; choose a model without scaling"
            )
    scaling = config.inner("rope_scaling")
    now = scaling if scaling.values else config.inner("rope_parameters")  # as transformers chooses
    base = now.whole("rope_theta") if "rope_theta" in now else config.whole(base_key, 10000)
    if "partial_rotary_factor" in now:
        return Rotation(base, now.number("partial_rotary_factor"))
    return Rotation(base, config.number(share_key, share))


def written_rotation(resolved: Resolved) -> dict[str, Any]:
    """The same the other way, for today's transformers."""
    model = resolved[ModelSettings]
    parameters: dict[str, Any] = {"rope_type": "default", "rope_theta": float(model.rotary_emb_base)}
    if model.rotary_pct != 1:
        parameters["partial_rotary_factor"] = model.rotary_pct
    return {"rope_parameters": parameters}


def positions(length: int) -> dict[str, Any]:
    """Keys that say how long texts may be."""
    return {"max_position_embeddings": length, "seq_length": length}
