"""Checkpoints of ours as GPT-NeoX has them: weights, and what it needs to go on with them. Optimizer state is left out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neox_converters.gpt_neox import GPTNeoXConverter
from neox_converters.gpt_neox_files.archive import Stored, write_archive
from neox_converters.gpt_neox_files.cuts import Shape, cut_of, divided
from neox_converters.gpt_neox_files.order import layer_of
from neox_core.checkpoint import Exported, ExportOptions, LazyTensors, Typed
from neox_core.config import GATED, ModelSettings, Resolved, TokenizerSettings, dump_yaml
from neox_core.config.keys import Key
from neox_core.config.presets import LATEST
from neox_core.data.tokenizers import make_tokenizer
from neox_core.errors import Problem, SettingsError
from neox_core.files import whole_directory, write_file
from neox_core.training.gpt_neox_names import is_gpt_neox_name
from neox_core.training.schedule.terms import ScheduleTerms

CONFIG = "neox.yml"
"""Name of the settings within the directory configs."""

NOT_THEIRS = ("neox", "deepspeed-launcher")
"""Whose keys its files need not have: ours, and those about machines."""

UNKNOWN = frozenset(
    [
        "data_cache_path",
        "mock_data",
        "reset_attention_mask",
        "reset_position_ids",
        "create_moe_param_group",
        "enable_expert_tensor_parallelism",
        "moe_eval_capacity_factor",
        "moe_expert_parallel_size",
        "moe_glu",
        "moe_loss_coeff",
        "moe_min_capacity",
        "moe_token_dropping",
        "moe_train_capacity_factor",
        "moe_type",
        "moe_use_residual",
        "use_tutel",
        "aio",
        "comet",
        "compile",
        "data_parallel_size",
        "dataloader_drop_last",
        "datastates_ckpt",
        "disable_allgather",
        "disable_python_gc",
        "expert_parallel",
        "gradient_allreduce_op",
        "hybrid_engine",
        "log_level",
        "managed_gradient_accumulation",
        "memory_breakdown",
        "pipeline",
        "seq_parallel_communication_data_type",
        "sequence_parallel_size",
        "tensor_parallel",
        "timers",
        "torch_autocast",
        "use_data_before_expert_parallelism",
        "vocabulary_size",
        "weight_quantization",
        "zero_allow_untested_optimizer",
        "zero_force_ds_cpu_optimizer",
    ]
)
"""Keys of Megatron-LM, of DeepSpeed and of its own past that GPT-NeoX refuses as unknown today."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_OF_PRECISION = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check(resolved: Resolved, options: ExportOptions) -> None:
    """Whether GPT-NeoX can express an architecture, and cut it so.

    Raises:
        UserError: it cannot; all reasons, each with the key.
    """
    problems = [*_unknown_parts(resolved), *_uncut(resolved, options)]
    if problems:
        raise SettingsError(
            problem._replace(origin=problem.origin or resolved.origin(problem.keys[0])) for problem in problems
        )
    GPTNeoXConverter(resolved)


def _unknown_parts(resolved: Resolved) -> Iterator[Problem]:
    model = resolved[ModelSettings]
    named = [
        ("norm", "norm", model.norm),
        ("pos_emb", "position", model.pos_emb),
        ("activation", "activation", model.activation),
        *(("attention_config", "attention", name) for name in dict.fromkeys(resolved.layers)),
    ]
    for key, kind, name in named:
        if not is_gpt_neox_name(kind, name):
            yield Problem(keys=(key,), message=f"{kind} '{name}' is none of GPT-NeoX's")
    if any(resolved.mixtures):
        yield Problem(keys=("moe_num_experts",), message="mixtures of experts are not written for GPT-NeoX yet")


def _uncut(resolved: Resolved, options: ExportOptions) -> Iterator[Problem]:
    """What cannot be divided over tensor-parallel ranks, or stages."""
    model, ranks = resolved[ModelSettings], options.tensor
    sizes = {
        "num_attention_heads": model.num_attention_heads,
        "num_kv_heads": model.num_kv_heads or model.num_attention_heads,
        "vocab_size": resolved.padded_vocab_size or ranks,
        "intermediate_size": resolved.mlp_width,
    }
    for key, size in sizes.items():
        if size % ranks:
            message = f"{size} cannot be divided over {ranks} tensor-parallel ranks"
            yield Problem(keys=(key,), message=message, remedy=f"use a number of ranks that divides {size}")
    if ranks > 1 and {"gmlp", "amlp", "rwkv"} & set(resolved.layers):
        message = "gmlp, amlp and rwkv are not cut over tensor-parallel ranks in GPT-NeoX"
        yield Problem(keys=("attention_config",), message=message, remedy="use 1 tensor-parallel rank")
    if options.pipe > model.num_layers:
        message = f"{model.num_layers} cannot be divided into {options.pipe} stages"
        yield Problem(keys=("num_layers",), message=message, remedy=f"use at most {model.num_layers} stages")


def write(exported: Exported, path: Path, options: ExportOptions) -> None:
    """Write `path`/latest and `path`/global_step{N}, which appear whole or not at all.

    Args:
        exported: what.
        path: a directory that is not there yet, or is empty.
        options: `pipe` 0: as with `pipe_parallel_size: 0`.

    Raises:
        UserError: GPT-NeoX cannot express it, the directory is there, or the file system refuses.
    """
    check(exported.resolved, options)
    with whole_directory(path) as place:
        _write_files(_Run(exported, path, options), place)


class _Run:
    """What is written, and how it is cut.

    Args:
        exported: what.
        path: where it will lie.
        options: how.
    """

    def __init__(self, exported: Exported, path: Path, options: ExportOptions) -> None:
        self.exported, self.path, self.options = exported, path, options
        resolved, model = exported.resolved, exported.resolved[ModelSettings]
        dtype = _OF_PRECISION[resolved.precision] if options.dtype == "auto" else _DTYPES[options.dtype]
        theirs = GPTNeoXConverter(resolved).writing(exported.weights)
        kept = {name: theirs.meta(name).dtype for name in theirs}
        self.weights: LazyTensors = Typed(
            theirs, {n: dtype if own.is_floating_point else own for n, own in kept.items()}
        )
        heads = model.num_attention_heads
        self.shape = Shape(
            heads=heads,
            kv_heads=model.num_kv_heads or heads,
            head_dim=model.hidden_size // heads,
            gated=model.activation.casefold() in GATED,
            parallel=model.gpt_j_residual,
        )
        self.iteration = int((exported.progress or {}).get("iteration", 0))

    @property
    def layers(self) -> list[int]:
        """Layers that have weights; the final norm is one even where it has none."""
        final_norm = self.exported.resolved[ModelSettings].num_layers + 3
        return sorted({final_norm, *(layer_of(name) for name in self.weights)})

    def part(self, name: str, rank: int) -> Stored:
        """What a tensor-parallel rank has of a weight."""
        cut, ranks = cut_of(name, self.shape), self.options.tensor
        made = partial(divided, name, cut=cut, rank=rank, ranks=ranks)
        meta = self.weights.meta(name)

        def read() -> Tensor:
            return made(whole=self.weights[name])

        return Stored(tuple(made(whole=meta).shape), meta.dtype, read)

    def parts(self, rank: int, layer: int | None = None) -> OrderedDict[str, Stored]:
        """What it has of all weights, or of those of a layer, which then have their names within it."""
        names = sorted(self.weights, key=layer_of)
        if layer is None:
            return OrderedDict((name, self.part(name, rank)) for name in names)
        prefix = f"sequential.{layer}."
        return OrderedDict((n.removeprefix(prefix), self.part(n, rank)) for n in names if n.startswith(prefix))


def _write_files(run: _Run, directory: Path) -> None:
    options, step = run.options, directory / f"global_step{run.iteration}"
    (step / "configs").mkdir(parents=True)
    write_file(step / "configs" / CONFIG, dump_yaml(_config(run)))
    tokenizer = run.exported.tokenizer
    for file in () if tokenizer is None else (*tokenizer.files.values(), *tokenizer.beside.values()):
        write_file(directory / file.name, file.content)
    if options.pipe:
        for layer in run.layers:
            for rank in range(options.tensor):
                write_archive(step / f"layer_{layer:02d}-model_{rank:02d}-model_states.pt", run.parts(rank, layer))
    for number in range(max(options.pipe, 1) * options.tensor):
        module = None if options.pipe else run.parts(number)
        write_archive(step / f"mp_rank_{number:02d}_model_states.pt", {"module": module, **_state(run)})
    write_file(directory / LATEST, step.name)


def _state(run: _Run) -> dict[str, Any]:
    """What GPT-NeoX and DeepSpeed look for beside weights when they load."""
    resolved, progress = run.exported.resolved, run.exported.progress or {}
    model, samples = resolved[ModelSettings], progress.get("consumed_samples", 0)
    applied = progress.get("applied", run.iteration)
    return {
        "buffer_names": [],
        "optimizer": None,
        "param_shapes": None,
        "frozen_param_shapes": None,
        "shared_params": None,
        "frozen_param_fragments": None,
        "lr_scheduler": _schedule(resolved, int(progress.get("scheduled", applied))),
        "data_sampler": None,
        "random_ltd": None,
        "skipped_steps": run.iteration - applied,
        "global_steps": run.iteration,
        "global_samples": samples,
        "dp_world_size": 1,
        "mp_world_size": max(run.options.pipe, 1) * run.options.tensor,
        "checkpoint_parallel_dimensions": {"pp_degree": max(run.options.pipe, 1), "tp_degree": run.options.tensor},
        "ds_config": {"train_batch_size": samples // run.iteration if run.iteration else resolved.batch.total},
        "ds_version": "0.0",
        "iteration": run.iteration,
        "args": {
            "num_layers": model.num_layers,
            "hidden_size": model.hidden_size,
            "num_attention_heads": model.num_attention_heads,
            "max_position_embeddings": model.max_position_embeddings,
            "make_vocab_size_divisible_by": _vocabulary_multiple(run),
            "padded_vocab_size": resolved.padded_vocab_size,
            "tokenizer_type": resolved[TokenizerSettings].tokenizer_type,
            "model_parallel_size": run.options.tensor,
        },
    }


def _schedule(resolved: Resolved, taken: int) -> dict[str, Any] | None:
    """The state of GPT-NeoX's schedule, where it has such a one."""
    terms = ScheduleTerms.of(resolved)
    if not is_gpt_neox_name("schedule", terms.style) or terms.scheduler is not None:
        return None
    return {
        "start_lr": terms.shape.peak,
        "warmup_iter": terms.shape.warmup,
        "num_iters": taken,
        "decay_style": terms.style,
        "end_iter": terms.shape.end,
        "min_lr": terms.shape.minimum,
    }


def _vocabulary_multiple(run: _Run) -> int:
    """What GPT-NeoX has to pad the vocabulary to a multiple of, so that it comes to as many rows."""
    resolved, ranks = run.exported.resolved, run.options.tensor
    rows, multiple = resolved.padded_vocab_size, resolved[ModelSettings].make_vocab_size_divisible_by
    source = run.exported.tokenizer
    # It counts the tokenizer's tokens, of which there may be fewer than a checkpoint of another family speaks of.
    tokens = resolved.vocabulary if source is None else make_tokenizer(source).vocab_size
    if rows is None or tokens is None:
        return multiple
    unit = multiple * ranks
    return multiple if -(-tokens // unit) * unit == rows else rows // ranks


def _config(run: _Run) -> Mapping[str, Any]:
    """The given settings that GPT-NeoX knows, for its files as they are cut."""
    resolved = run.exported.resolved
    origins = {name: Key.of(group, name, "").origin for group in resolved.groups for name in group.model_fields}
    given = {
        key: value
        for key, value in resolved.values.items()
        if origins.get(key, "neox") not in NOT_THEIRS and key not in UNKNOWN
    }
    files = _tokenizer_files(run)
    return {
        **given,
        **{key: str(run.path / name) for key, name in zip(("vocab_file", "merge_file"), files, strict=False)},
        "model_parallel_size": run.options.tensor,
        "pipe_parallel_size": run.options.pipe,
        "make_vocab_size_divisible_by": _vocabulary_multiple(run),
    }


def _tokenizer_files(run: _Run) -> dict[str, bytes]:
    """The tokenizer's files by name, the vocabulary first."""
    source = run.exported.tokenizer
    if source is None:
        return {}
    ordered = sorted(source.files.items(), key=lambda item: item[0] != "vocab_file")
    return {file.name: file.content for _, file in ordered}
