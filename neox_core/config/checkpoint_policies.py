"""Who wins where a run and a checkpoint both have a value for a key: a table from the name of a policy to its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from neox_core.config.keys import Key
from neox_core.config.ownership import Ownership

BIONEMO_OVERRIDE_PARENT_FIELDS: tuple[str, ...] = (
    "initial_ckpt_skip_keys_with_these_prefixes",
    "override_parent_fields",
    "initial_ckpt_path_ignore_weights",
    "initial_ckpt_path",
    "model_cls",
    "bf16",
    "fp16",
    "train_metric",
    "valid_metric",
)
"""What every model of BioNeMo keeps: the plumbing of checkpoints, the choice of classes, precision, metrics."""

BIOBERT_OVERRIDE_PARENT_FIELDS: tuple[str, ...] = (
    "return_only_hidden_states",
    "include_embeddings",
    "include_input_ids",
    "include_hiddens",
    "params_dtype",
    "pipeline_dtype",
    "autocast_dtype",
    "tensor_model_parallel_size",
    "pipeline_model_parallel_size",
    "virtual_pipeline_model_parallel_size",
    "sequence_parallel",
    "context_parallel_size",
    "expert_model_parallel_size",
    "apply_rope_fusion",
    "bias_dropout_fusion",
    "bias_activation_fusion",
    "attention_softmax_in_fp32",
    "get_attention_mask_from_fusion",
    "activation_func",
    "moe_extended_tp",
    "skip_logits",
)
"""What BioNeMo's BERT-like models keep beside that: outputs, number formats, parallelism, fusions."""


class Case(NamedTuple):
    """A key of which a run and a checkpoint may have different values.

    Args:
        key: what is known of it.
        given: whether the run gives it, instead of leaving it to its default.
        same: whether both come to the same.
        listed: whether it is among the `override_parent_fields`.
    """

    key: Key
    given: bool
    same: bool
    listed: bool


class Choice(NamedTuple):
    """What a policy decides of a case.

    Args:
        saved: whether the value is the checkpoint's, rather than mine.
        told: whether that is said.
        refused: whether it is an error instead, which shows both values.
    """

    saved: bool
    told: bool = False
    refused: bool = False


class Policy(NamedTuple):
    """A rule.

    Args:
        choose: the decision of a case.
        listed: the `override_parent_fields` where none are given.
    """

    choose: Callable[[Case], Choice]
    listed: Callable[[Ownership], Iterable[str]]


def explicit(case: Case) -> Choice:
    """What I give wins; where a key must match, it is an error unless it is listed. What I leave open is the checkpoint's."""
    if case.listed or case.key.from_checkpoint == "keep":
        return Choice(saved=False)
    if not case.given:
        return Choice(saved=True)
    return Choice(saved=False, told=not case.same, refused=not case.same and case.key.from_checkpoint == "match")


def bionemo(case: Case) -> Choice:
    """The checkpoint wins, whatever I give, unless the key is listed."""
    return Choice(saved=not case.listed, told=case.given and not case.same and not case.listed)


def none(ownership: Ownership) -> tuple[str, ...]:
    """No keys."""
    return ()


def kept_keys(ownership: Ownership) -> list[str]:
    """The keys whose declaration says that mine is kept; a fresh list, to which names can be added."""
    return [key.name for key in ownership.keys.values() if key.from_checkpoint == "keep"]


POLICIES: dict[str, Policy] = {"explicit": Policy(explicit, none), "bionemo": Policy(bionemo, kept_keys)}
"""By name; one more entry is one more policy."""

PUBLISHED = frozenset((*BIONEMO_OVERRIDE_PARENT_FIELDS, *BIOBERT_OVERRIDE_PARENT_FIELDS, "loss_cls"))
"""Names that may be listed though they are no keys here, so that BioNeMo's own lists can be given as they are."""
