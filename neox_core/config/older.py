"""Keys that GPT-NeoX had before, whose meaning another key says today: mapped with a notice, or explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from neox_core.config.entry import Entry
from neox_core.config.plain import shown

if TYPE_CHECKING:
    from neox_core.config.translation import Translation


Translate = Callable[["Entry", Mapping[str, "Entry"], "Translation"], None]
"""Puts what a key means into a translation; is also given all entries, to look at what stands beside it."""


class OlderKey(NamedTuple):
    """A key that earlier files have.

    Args:
        name: the key.
        keys: today's keys that say what it said; none where nothing does.
        meaning: what it became, for the reference.
        translate: what is done with it.
    """

    name: str
    keys: tuple[str, ...]
    meaning: str
    translate: Translate


def _only_false(remedy: str) -> Translate:
    """False is what happens anyway; anything else cannot be had."""

    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        if entry.value in (False, None):
            translation.notice(entry, "has no effect: false is all there is")
        else:
            translation.refuse(entry, f"{shown(entry.value)} cannot be had", remedy)

    return translate


def _choice(values: Iterable[Any], notice: str, remedy: str) -> Translate:
    """The values that say what other keys say too; anything else is explained."""
    known = tuple(values)

    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        if entry.value in known:
            translation.notice(entry, notice)
        else:
            translation.refuse(entry, f"{shown(entry.value)} is not read any more", remedy)

    return translate


def _no_effect(reason: str) -> Translate:
    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        translation.notice(entry, f"has no effect: {reason}")

    return translate


def _explained(message: str, remedy: str) -> Translate:
    def translate(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
        translation.refuse(entry, message, remedy)

    return translate


def _geglu(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    activation = given.get("activation")
    if entry.value in (False, None) or (activation is not None and activation.value == "geglu"):
        translation.notice(entry, "has no effect: activation says it")
    elif entry.value is not True or (activation is not None and not (entry.overrides or activation.overrides)):
        translation.refuse(entry, f"{shown(entry.value)} is not read any more", "write activation: geglu")
    else:
        translation.notice(entry, "is written activation: geglu today")
        translation.put(replace(entry, key="activation", value="geglu"))


def _attention_type(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    heads = given.get("num_kv_heads")
    told = heads is not None and heads.value is not None
    if entry.value == "multihead" or (told and entry.value in ("groupedquery", "multiquery")):
        translation.notice(entry, "has no effect: num_kv_heads says it")
    else:
        remedy = {
            "multiquery": "write num_kv_heads: 1",
            "groupedquery": "write num_kv_heads, the number of key/value heads",
        }.get(str(entry.value), "say the number of key/value heads by num_kv_heads")
        translation.refuse(entry, f"{shown(entry.value)} is not read any more", remedy)


def _greedy(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    sampling = [key for key in ("temperature", "top_k", "top_p") if key in given and given[key].value]
    if entry.value is None or entry.value is (not sampling):
        translation.notice(entry, f"has no effect: {' and '.join(sampling) or 'temperature: 0, the default,'} says it")
    elif entry.value is True:
        written = ", ".join(f"{key}: {shown(given[key].value)}" for key in sampling)
        translation.refuse(entry, f"True and {written} contradict each other", f"remove greedy, or {written}")
    else:
        translation.refuse(entry, f"{shown(entry.value)} is not read any more", "write a temperature > 0 to sample")


def _warmup_iters(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    known = (given[key].value for key in ("lr_decay_iters", "train_iters") if key in given)
    steps, warmup = next((value for value in known if _is_number(value) and value > 0), None), entry.value
    if steps is None:
        remedy = f"write warmup: {warmup} / lr_decay_iters" if _is_number(warmup) else "write warmup, that share"
    elif _is_number(warmup) and 0 <= warmup <= steps:
        remedy = f"write warmup: {warmup / steps:.6g}"
    else:
        remedy = f"write warmup, the share from 0 to 1 of {steps} steps"
    translation.refuse(entry, "is no setting: the warm-up is a share of lr_decay_iters", remedy)


def _decay_lr_to(entry: Entry, given: Mapping[str, Entry], translation: Translation) -> None:
    optimizer = given["optimizer"].value if "optimizer" in given else None
    params = optimizer.get("params") if isinstance(optimizer, dict) else None
    lr = params.get("lr") if isinstance(params, dict) else None
    if not _is_number(entry.value) or not 0 <= entry.value <= 1:
        remedy = "write min_lr, the rate to fall to"
    elif isinstance(lr, float):
        remedy = f"write min_lr: {entry.value * lr:.6g}"
    else:
        remedy = f"write min_lr: {entry.value} x optimizer.params.lr"
    translation.refuse(entry, "is no setting: the rate falls to min_lr", remedy)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TABLE = (
    OlderKey("geglu", ("activation",), "activation: geglu", _geglu),
    OlderKey(
        "openai_gelu",
        ("bias_gelu_fusion",),
        "bias_gelu_fusion: true computes gelu by tanh",
        _only_false("write bias_gelu_fusion: true, which computes gelu by tanh"),
    ),
    OlderKey(
        "sparsity",
        ("attention_config",),
        "attention_config",
        _choice(
            ("none", None),
            "has no effect: attention_config says it",
            'write attention_config: [[["sparse_fixed"], "all"]]',
        ),
    ),
    OlderKey("attention_type", ("num_kv_heads",), "num_kv_heads", _attention_type),
    OlderKey(
        "mlp_type",
        ("activation",),
        "a gated activation",
        _choice(
            ("regular", None), "has no effect: activation says it", "write activation: swiglu for the MLP of llama"
        ),
    ),
    OlderKey(
        "apply_residual_connection_post_layernorm",
        (),
        "nothing",
        _only_false("the residual is taken before the norm; remove it"),
    ),
    OlderKey("detect_nvlink_pairs", (), "nothing", _no_effect("the launcher numbers the devices as the machine does")),
    OlderKey(
        "label_data_paths",
        ("train_label_data_paths", "valid_label_data_paths", "test_label_data_paths"),
        "train_label_data_paths",
        _explained(
            "was split by part of the data",
            "write train_label_data_paths, valid_label_data_paths and test_label_data_paths beside the three *_data_paths",
        ),
    ),
    OlderKey(
        "out_seq_length",
        ("maximum_tokens",),
        "maximum_tokens",
        _explained("counted the prompt too", "write maximum_tokens, the number of tokens to generate"),
    ),
    OlderKey(
        "genfile",
        ("sample_output_file",),
        "sample_output_file",
        _explained("has another name", "write sample_output_file"),
    ),
    OlderKey("greedy", ("temperature",), "temperature: 0", _greedy),
    OlderKey("decay_lr_to", ("min_lr",), "min_lr", _decay_lr_to),
    OlderKey("warmup_iters", ("warmup",), "warmup", _warmup_iters),
    OlderKey(
        "autotuning_config",
        ("autotuning",),
        "autotuning",
        _explained("is no setting of GPT-NeoX's", "write autotuning, DeepSpeed's dictionary"),
    ),
)

OLDER: Mapping[str, OlderKey] = {key.name: key for key in _TABLE}
"""By name."""
