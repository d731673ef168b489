"""Keys that GPT-NeoX had under other names, in other forms, or that it computed: read with a notice, or explained.

What is only renamed is an alias that the key itself declares. Here is what needs more: singular paths, values that say the same in
another key, and keys whose value something else decides. Nothing is dropped without a word.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neox_core.config.compatibility import reproduces
from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.loading import Entry, given_twice
from neox_core.config.ownership import Ownership
from neox_core.errors import Notice, Problem


@dataclass(slots=True)
class Translation:
    """Given keys in today's names and forms, and what is to be said about those that were not."""

    entries: dict[str, Entry] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def put(self, entry: Entry) -> None:
        """Add an entry; a second one for a key is a problem that names both places."""
        first = self.entries.setdefault(entry.key, entry)
        if first is not entry:
            self.problems.append(given_twice(first, entry))

    def notice(self, entry: Entry, message: str) -> None:
        """Say something about a key that was given."""
        self.notices.append(Notice(keys=(entry.key,), message=message, origin=entry.origin))

    def refuse(self, entry: Entry, message: str, remedy: str) -> None:
        """Explain a key that cannot be read."""
        self.problems.append(Problem(keys=(entry.key,), message=message, remedy=remedy, origin=entry.origin))


@dataclass(frozen=True, slots=True)
class OlderKey:
    """A key that earlier files have.

    Args:
        name: the key.
        meaning: what it became, for the reference.
        translate: puts what it means into the translation; is also given all entries, to look at what stands beside it.
    """

    name: str
    meaning: str
    translate: Callable[[Entry, Mapping[str, Entry], Translation], None]


def translate(entries: Iterable[Entry], ownership: Ownership) -> Translation:
    """Today's entries for the given ones, in order."""
    given = {entry.key: entry for entry in entries}
    translation = Translation()
    for as_given in given.values():
        entry = replace(as_given, value=_expanded(as_given, as_given.value, translation))
        if entry.key in ownership.by_key:
            translation.put(entry)
        elif entry.key in ownership.aliases:
            name = ownership.aliases[entry.key]
            translation.notice(entry, f"is called {name} today")
            translation.put(replace(entry, key=name))
        elif entry.key in DERIVED:
            translation.notice(entry, f"is computed from {DERIVED[entry.key].source}; the value given is not used")
        elif entry.key in RUNTIME:
            translation.notice(entry, "has no effect: a running program keeps it, not a file")
        elif entry.key in OLDER:
            OLDER[entry.key].translate(entry, given, translation)
        elif _is_singular(entry.key) and f"{entry.key}s" in ownership.by_key:
            value = entry.value if entry.value is None or isinstance(entry.value, list) else [entry.value]
            translation.put(replace(entry, key=f"{entry.key}s", value=value))
        else:
            translation.put(entry)
    _translate_optimizer(translation)
    _translate_precision(translation)
    return translation


# Text in values

VARIABLES = ("NEOX_DATA_PATH", "NEOX_CHECKPOINT_PATH")
"""The environment variables that a value may name, as `${NAME}`."""

_VARIABLE = re.compile(r"\$\{(" + "|".join(VARIABLES) + r")\}|\$(" + "|".join(VARIABLES) + r")(?![A-Za-z0-9_])")


def _expanded(entry: Entry, value: Any, translation: Translation) -> Any:
    """`value` with the two variables replaced in its text; nothing else in a text is ever looked at."""
    if isinstance(value, list):
        return [_expanded(entry, item, translation) for item in value]
    if not isinstance(value, str) or "$" not in value:
        return value

    def replaced(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            translation.refuse(entry, f"{value!r} needs the environment variable {name}", f"export {name}=/path")
        return os.environ.get(name, "")

    return _VARIABLE.sub(replaced, value)


def _is_singular(key: str) -> bool:
    return key.endswith("_data_path") and any(part in key for part in ("train", "valid", "test"))


# The optimizer's options

_ODD_NUMBER = re.compile(r"\d+(\.\d*)?[eE]_\d+")


def _translate_optimizer(translation: Translation) -> None:
    """`max_grad_norm` among the options is gradient_clipping; `1.0e_8` is a number."""
    entry = translation.entries.get("optimizer")
    params = entry.value.get("params") if entry is not None and isinstance(entry.value, dict) else None
    if entry is None or not isinstance(params, dict):
        return
    params = {name: _number(entry, name, value, translation) for name, value in params.items()}
    if "max_grad_norm" in params:
        norm, origin = params.pop("max_grad_norm"), entry.inner.get("params.max_grad_norm", entry.origin)
        clipping = translation.entries.get("gradient_clipping")
        if clipping is None:
            translation.put(Entry("gradient_clipping", norm, origin))
            translation.notices.append(
                Notice(keys=("optimizer",), message=f"params.max_grad_norm: {norm} is gradient_clipping", origin=origin)
            )
        elif clipping.value != norm:
            message = (
                f"{clipping.value!r} in {clipping.origin}, but optimizer.params.max_grad_norm is {norm!r} in {origin}"
            )
            problem = Problem(
                keys=("gradient_clipping", "optimizer"),
                message=message,
                remedy="keep one of them",
                origin=clipping.origin,
            )
            translation.problems.append(problem)
    translation.entries["optimizer"] = replace(entry, value={**entry.value, "params": params})


def _number(entry: Entry, name: str, value: Any, translation: Translation) -> Any:
    if not isinstance(value, str) or not _ODD_NUMBER.fullmatch(value):
        return value
    number = float(value.replace("_", "-"))
    origin = entry.inner.get(f"params.{name}", entry.origin)
    message = f"params.{name}: {value!r} is read as {number}"
    translation.notices.append(Notice(keys=("optimizer",), message=message, origin=origin))
    return number


def _translate_precision(translation: Translation) -> None:
    """A misspelt `precision` is fp32 to GPT-NeoX."""
    entry, compat = translation.entries.get("precision"), translation.entries.get("compat")
    if entry is None or compat is None or not reproduces(compat.value, "precision-typo"):
        return
    if isinstance(entry.value, str) and entry.value not in ("fp32", "fp16", "bfloat16"):
        translation.notice(entry, f"{entry.value!r} is fp32, as compat: {compat.value} wants")
        translation.entries["precision"] = replace(entry, value="fp32")


# Keys that need a word each


def _only_false(remedy: str) -> Callable[[Entry, Mapping[str, Entry], Translation], None]:
    """False is what happens anyway; anything else cannot be had."""

    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        if entry.value in (False, None):
            translation.notice(entry, "has no effect: false is all there is")
        else:
            translation.refuse(entry, f"{entry.value!r} cannot be had", remedy)

    return translate


def _choice(
    values: Iterable[Any], notice: str, remedy: str
) -> Callable[[Entry, Mapping[str, Entry], Translation], None]:
    """The values that say what other keys say too; anything else is explained."""
    known = tuple(values)

    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        if entry.value in known:
            translation.notice(entry, notice)
        else:
            translation.refuse(entry, f"{entry.value!r} is not read any more", remedy)

    return translate


def _no_effect(reason: str) -> Callable[[Entry, Mapping[str, Entry], Translation], None]:
    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        translation.notice(entry, f"has no effect: {reason}")

    return translate


def _explained(message: str, remedy: str) -> Callable[[Entry, Mapping[str, Entry], Translation], None]:
    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        translation.refuse(entry, message, remedy)

    return translate


def _geglu(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    if entry.value is True and "activation" not in given:
        translation.notice(entry, "is written activation: geglu today")
        translation.put(replace(entry, key="activation", value="geglu"))
    elif entry.value in (False, None):
        translation.notice(entry, "has no effect: activation says it")
    else:
        translation.refuse(entry, f"{entry.value!r} is not read any more", "write activation: geglu")


def _warmup_iters(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    steps = next((given[key].value for key in ("lr_decay_iters", "train_iters") if key in given), None)
    numbers = isinstance(steps, int) and isinstance(entry.value, int) and steps > 0
    share = f"{entry.value / steps:.6g}" if numbers else f"{entry.value} / lr_decay_iters"
    translation.refuse(entry, "is no setting: the warm-up is a share of lr_decay_iters", f"write warmup: {share}")


def _decay_lr_to(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    optimizer = given["optimizer"].value if "optimizer" in given else None
    params = optimizer.get("params") if isinstance(optimizer, dict) else None
    lr = params.get("lr") if isinstance(params, dict) else None
    numbers = isinstance(lr, float) and isinstance(entry.value, int | float)
    least = f"{entry.value * lr:.6g}" if numbers else f"{entry.value} x optimizer.params.lr"
    translation.refuse(entry, "is no setting: the rate falls to min_lr", f"write min_lr: {least}")


_TABLE = (
    OlderKey("geglu", "activation: geglu", _geglu),
    OlderKey(
        "openai_gelu",
        "bias_gelu_fusion: true computes gelu by tanh",
        _only_false("write bias_gelu_fusion: true, which computes gelu by tanh"),
    ),
    OlderKey(
        "sparsity",
        "attention_config",
        _choice(
            ("none", None),
            "has no effect: attention_config says it",
            'write attention_config: [[["sparse_fixed"], "all"]]',
        ),
    ),
    OlderKey(
        "attention_type",
        "num_kv_heads",
        _choice(
            ("groupedquery", "multihead", "multiquery"),
            "has no effect: num_kv_heads says it",
            "say the number of key/value heads by num_kv_heads",
        ),
    ),
    OlderKey(
        "mlp_type",
        "a gated activation",
        _choice(
            ("regular", None), "has no effect: activation says it", "write activation: swiglu for the MLP of llama"
        ),
    ),
    OlderKey("reset_position_ids", "nothing", _only_false("positions run on over the end of a document; remove it")),
    OlderKey("reset_attention_mask", "nothing", _only_false("attention sees over the end of a document; remove it")),
    OlderKey(
        "apply_residual_connection_post_layernorm",
        "nothing",
        _only_false("the residual is taken before the norm; remove it"),
    ),
    OlderKey("detect_nvlink_pairs", "nothing", _no_effect("the launcher numbers the devices as the machine does")),
    OlderKey(
        "label_data_paths",
        "train_label_data_paths",
        _explained(
            "was split by part of the data",
            "write train_label_data_paths, valid_label_data_paths and test_label_data_paths beside the three *_data_paths",
        ),
    ),
    OlderKey(
        "out_seq_length",
        "maximum_tokens",
        _explained("counted the prompt too", "write maximum_tokens, the number of tokens to generate"),
    ),
    OlderKey("genfile", "sample_output_file", _explained("has another name", "write sample_output_file")),
    OlderKey(
        "greedy",
        "temperature: 0",
        _choice((True, None), "is what temperature: 0 does, the default", "write a temperature > 0 to sample"),
    ),
    OlderKey("decay_lr_to", "min_lr", _decay_lr_to),
    OlderKey("warmup_iters", "warmup", _warmup_iters),
    OlderKey(
        "autotuning_config",
        "autotuning",
        _explained("is no setting of GPT-NeoX's", "write autotuning, DeepSpeed's dictionary"),
    ),
)

OLDER: Mapping[str, OlderKey] = {key.name: key for key in _TABLE}
"""By name."""
