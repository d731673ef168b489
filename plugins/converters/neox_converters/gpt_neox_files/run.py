"""How far a run of GPT-NeoX was, and what its files say of it beside settings: steps, samples, loss scale, schedule, batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neox_converters.gpt_neox_files.layout import Layout, named_iteration
from neox_converters.gpt_neox_files.pickles import open_file
from neox_core.errors import UserError

OF_RUNS = ("args", "lr_scheduler", "ds_config", "ds_version")
"""Keys of which the state of a run has some. GPT-NeoX's tools that convert weights write none of them, and `iteration: 1` into a
directory of any name."""


def read_run(layout: Layout) -> Mapping[str, Any]:
    """The plain values of `mp_rank_00_model_states.pt`; none where there is no such file, or no run has written it.

    Raises:
        UserError: files are of different runs or steps.
    """
    if 0 not in layout.states:
        return {}
    first = _facts(layout.states[0])
    for path in layout.states.values():
        if (found := iteration_of(_facts(path))) != iteration_of(first):
            raise UserError(
                f"{path} was saved at iteration {found}, and {layout.states[0].name} at {iteration_of(first)}: files of different "
                "checkpoints lie there together"
            )
    if not any(key in first for key in OF_RUNS):
        return {}
    named, there = named_iteration(layout.path), iteration_of(first)
    if None not in (named, there) and named != there:
        raise UserError(
            f"{layout.states[0]} was saved at iteration {there}, and its directory is called {layout.path.name}: give it the name "
            f"global_step{there}, or restore the files that belong there"
        )
    _check_ranks(layout, first)
    return first


def _facts(path: Path) -> Mapping[str, Any]:
    content = open_file(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path} does not hold the state of a run, but {type(content).__name__}")
    return content


def iteration_of(facts: Mapping[str, Any]) -> int | None:
    """The steps that the run had taken."""
    number = facts.get("iteration", facts.get("total_iters"))
    return int(number) if isinstance(number, int | float) else None


def _check_ranks(layout: Layout, facts: Mapping[str, Any]) -> None:
    """Hold the number of tensor-parallel ranks against what the run says."""
    args = facts.get("args")
    said = args.get("model_parallel_size") if isinstance(args, Mapping) else None
    if said is None or said == layout.tensor_ranks:
        return
    kind = "layer_*-model_*-model_states.pt" if layout.in_layers else "mp_rank_*_model_states.pt"
    raise UserError(
        f"{layout.states[0]} says model_parallel_size {said}, and there are files {kind} of {layout.tensor_ranks} tensor-parallel "
        "ranks: files are missing, or are of another run"
    )


def progress(facts: Mapping[str, Any], samples: int | None) -> dict[str, Any] | None:
    """How far the run was, as `Progress` has it, and the loss scale where there is one.

    GPT-NeoX's place in the data is the number of its iterations times the samples in a step.

    Args:
        facts: of the run.
        samples: in a step.

    Raises:
        UserError: nothing says how many.
    """
    iteration = iteration_of(facts)
    if iteration is None:
        return None
    if samples is None:
        raise UserError(
            "nothing says how many samples a step had, so that the place in the data is not known: give train_batch_size"
        )
    applied = iteration - int(facts.get("skipped_steps") or 0)
    schedule = facts.get("lr_scheduler")
    scheduled = schedule.get("num_iters", applied) if isinstance(schedule, Mapping) else applied
    return {
        "iteration": iteration,
        "applied": max(applied, 0),
        "consumed_samples": iteration * samples,
        "skipped_in_a_row": 0,
        "scheduled": int(scheduled),
    }


def loss_scale(layout: Layout, facts: Mapping[str, Any]) -> dict[str, float] | None:
    """The factor of the loss in fp16, where the run adapted it."""
    if layout.partitions:
        first = open_file(next(iter(next(iter(layout.partitions.values())).values())))
        state = first.get("optimizer_state_dict") or {}
        scaler = vars(state["loss_scaler"]) if hasattr(state.get("loss_scaler"), "__dict__") else {}
        dynamic = scaler.get("dynamic", state.get("dynamic_loss_scale", False))
    else:
        scaler = facts.get("optimizer") or {}
        dynamic = scaler.get("dynamic_loss_scale", False)
    if not dynamic or "cur_scale" not in scaler:
        return None
    good = int(scaler.get("cur_iter", 0)) - int(scaler.get("last_overflow_iter", -1)) - 1
    hysteresis = scaler.get("cur_hysteresis", scaler.get("delayed_shift", _hysteresis(facts)))
    return {"scale": float(scaler["cur_scale"]), "good_steps": max(good, 0), "hysteresis": int(hysteresis)}


def _hysteresis(facts: Mapping[str, Any]) -> int:
    config = facts.get("ds_config")
    fp16 = config.get("fp16", {}) if isinstance(config, Mapping) else {}
    return int(fp16.get("hysteresis", 2))


def said_settings(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the state of a run says, for keys that nothing else says."""
    found: dict[str, Any] = {}
    args = facts.get("args")
    if isinstance(args, Mapping):
        known = ("num_layers", "hidden_size", "num_attention_heads", "max_position_embeddings")
        found |= {key: args[key] for key in (*known, "make_vocab_size_divisible_by") if args.get(key) is not None}
    config = facts.get("ds_config")
    if isinstance(config, Mapping):
        asked = (
            "optimizer",
            "gradient_clipping",
            "fp16",
            "bf16",
            "zero_optimization",
            "train_micro_batch_size_per_gpu",
        )
        found |= {key: config[key] for key in asked if config.get(key) is not None}
    return found | _said_schedule(facts.get("lr_scheduler"))


def _said_schedule(schedule: Any) -> dict[str, Any]:
    if not isinstance(schedule, Mapping) or not schedule.get("end_iter") or not schedule.get("decay_style"):
        return {}
    end = int(schedule["end_iter"])
    return {
        "lr_decay_style": schedule["decay_style"],
        "lr_decay_iters": end,
        "min_lr": float(schedule.get("min_lr") or 0.0),
        "warmup": float(schedule.get("warmup_iter") or 0.0) / end,
    }


def samples_in_a_step(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    """How many samples a step had: what DeepSpeed was told, else what the settings come to."""
    config = facts.get("ds_config")
    told = config.get("train_batch_size") if isinstance(config, Mapping) else None
    if told is None:
        told = settings.get("train_batch_size")
    if told is not None:
        return int(told)
    micro, ranks = settings.get("train_micro_batch_size_per_gpu"), facts.get("dp_world_size")
    if micro is None or ranks is None:
        return None
    return int(micro) * int(settings.get("gradient_accumulation_steps") or 1) * int(ranks)
