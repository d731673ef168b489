"""Optimizer state in every form that DeepSpeed writes: what is read is what its optimizer has."""

from __future__ import annotations

import pytest
import torch
from deepspeed_directories import SETTINGS, save
from gpt_neox_directories import config_of, open_with, opened
from gpt_neox_eras import copied

from neox_core.errors import UserError

FORMS = {
    "float32": {},
    "ZeRO 1": {"zero_optimization": {"stage": 1}},
    "ZeRO 2": {"zero_optimization": {"stage": 2}},
    "ZeRO 2, dealt in turn": {"zero_optimization": {"stage": 2, "round_robin_gradients": True}},
    "ZeRO 1 in bf16": {"zero_optimization": {"stage": 1}, "bf16": {"enabled": True}},
    "BF16_Optimizer": {
        "zero_optimization": {"stage": 1},
        "bf16": {"enabled": True},
        "data_types": {"grad_accum_dtype": "fp32"},
    },
    "ZeRO 1 in fp16": {"zero_optimization": {"stage": 1}, "fp16": {"enabled": True, "initial_scale_power": 3}},
    "FP16_UnfusedOptimizer": {"fp16": {"enabled": True, "initial_scale_power": 3}},
}


@pytest.mark.parametrize("weight_decay", [0.1, 0.0])
@pytest.mark.parametrize("form", FORMS)
def test_state_is_what_the_optimizer_has(workers, tmp_path, form, weight_decay):
    kept = workers(2).run(save, tmp_path, FORMS[form], weight_decay)[0]
    # The unfused one begins with a step of nothing.
    assert_read(tmp_path, kept, steps=3 if form == "FP16_UnfusedOptimizer" else 2)


def assert_read(path, kept, steps=2):
    """What is read of a directory is what was kept."""
    found, resolved = open_with(path, SETTINGS)
    states = found.states(resolved)
    weights = {**dict(found.weights(resolved)), **dict(states.get("master", {}))}
    for role, values in kept.items():
        theirs = weights if role == "master" else states[role]
        for name, value in values.items():
            assert torch.equal(theirs[ours(name)], value), (role, name)
    assert float(states["step"]["norm.weight"]) == steps


def ours(name):
    """The canonical name."""
    if name.startswith("sequential.0"):
        return "embedding.weight"
    if "final_linear" in name:
        return "head.weight"
    if ".norm." in name:
        return f"norm.{name.rpartition('.')[2]}"
    _, layer, rest = name.split(".", 2)
    for theirs, our in (
        ("input_layernorm", "attention_norm"),
        ("post_attention_layernorm", "mlp_norm"),
        ("attention.dense", "attention.output"),
        ("linear1", "up"),
        ("linear2", "down"),
    ):
        rest = rest.replace(theirs, our)
    return f"layers.{int(layer) - 2}.{rest}"


def without(path, pattern, keys):
    """Take entries out of files, as versions before they were written."""
    for file in path.glob(pattern):
        content = torch.load(file, weights_only=False)
        for key in keys:
            content.pop(key, None)
            content.get("optimizer_state_dict", {}).pop(key, None)
        torch.save(content, file)


LATER = ("param_slice_mappings", "param_alignment_paddings", "group_paddings")


@pytest.mark.parametrize("missing", [(), ("param_shapes",)], ids=["names in mp_rank files", "no names at all"])
@pytest.mark.parametrize("form", ["ZeRO 1", "ZeRO 2, dealt in turn", "BF16_Optimizer"])
def test_files_of_older_versions_say_less_and_are_read(workers, tmp_path, form, missing):
    kept = workers(2).run(save, tmp_path, FORMS[form])[0]
    told = LATER if form != "BF16_Optimizer" else LATER[:1]
    without(tmp_path / "global_step2", "*zero_pp*.pt", told)
    without(tmp_path / "global_step2", "mp_rank*.pt", missing)
    assert_read(tmp_path, kept)


def test_flat_groups_around_an_optimizer_in_fp16_are_read(workers, tmp_path):
    """The form of DeepSpeed's FP16_Optimizer, which wants a GPU."""
    kept = workers(1).run(save, tmp_path, {})[0]
    file = tmp_path / "global_step2" / "mp_rank_00_model_states.pt"
    content = torch.load(file, weights_only=False)
    others = [name for name in kept["master"] if spared(name)]
    groups = [[name for name in kept["master"] if name not in others], others]

    def flat(role):
        return [torch.cat([kept[role][name].flatten() for name in group]) for group in groups]

    moments = zip(flat("exp_avg"), flat("exp_avg_sq"), strict=True)
    state = {index: {"step": 2, "exp_avg": one, "exp_avg_sq": two} for index, (one, two) in enumerate(moments)}
    options = content["optimizer"]["param_groups"]
    content["optimizer"] = {
        "dynamic_loss_scale": True,
        "cur_scale": 1024.0,
        "cur_iter": 40,
        "last_overflow_iter": 9,
        "scale_factor": 2.0,
        "scale_window": 1000,
        "optimizer_state_dict": {
            "state": state,
            "param_groups": [{**group, "params": [index]} for index, group in enumerate(options)],
        },
        "fp32_groups_flat": flat("master"),
        "clip_grad": 1.0,
    }
    content["module"] = {name: value.half() for name, value in content["module"].items()}
    torch.save(content, file)
    assert_read(tmp_path, kept)
    found, _ = open_with(tmp_path, SETTINGS)
    assert found.progress["loss_scale"] == {"scale": 1024.0, "good_steps": 30, "hysteresis": 2}


def test_the_loss_scale_of_zero_goes_on(workers, tmp_path):
    fp16 = {"zero_optimization": {"stage": 1}, "fp16": {"enabled": True, "initial_scale_power": 3}}
    workers(2).run(save, tmp_path, fp16)
    found, _ = open_with(tmp_path, SETTINGS)
    assert found.progress["loss_scale"] == {"scale": 8.0, "good_steps": 2, "hysteresis": 2}


def test_state_that_cannot_be_placed_is_an_error_not_a_guess(workers, tmp_path):
    workers(2).run(save, tmp_path, FORMS["ZeRO 1"])
    without(tmp_path / "global_step2", "*zero_pp*.pt", LATER)
    without(tmp_path / "global_step2", "mp_rank*.pt", ("param_shapes",))
    file = tmp_path / "global_step2" / "zero_pp_rank_1_mp_rank_00_optim_states.pt"
    content = torch.load(file, weights_only=False)
    masters = content["optimizer_state_dict"]["single_partition_of_fp32_groups"]
    masters[0] = masters[0][:-7]
    torch.save(content, file)
    with pytest.raises(UserError, match="no run of layers has as many parameters"):
        open_with(tmp_path, SETTINGS)


def spared(name):
    return name.endswith("bias") or "norm" in name


def stage_of(content, numbered, own):
    """A file of a stage that has these parameters, of those that an optimizer has numbered."""
    groups = [[name for name in own if not spared(name)], [name for name in own if spared(name)]]
    order = [name for group in groups for name in group]
    state = content["optimizer"]["state"]
    options = content["optimizer"]["param_groups"]
    starts = [0, len(groups[0])]
    return {
        **content,
        "mp_world_size": 2,
        "optimizer": {
            "state": {number: state[numbered[name]] for number, name in enumerate(order)},
            "param_groups": [
                {**group, "params": list(range(start, start + len(members)))}
                for group, members, start in zip(options, groups, starts, strict=True)
            ],
        },
    }


@pytest.mark.parametrize("tied", [False, True])
def test_stages_of_a_pipeline_have_their_own_optimizers(tmp_path, tied):
    """Which layers a stage has is not said anywhere: it is seen in what its optimizer has."""
    checkpoint = copied("pythia_pp1", tmp_path)
    content = torch.load(checkpoint / "mp_rank_00_model_states.pt", weights_only=False)
    names = [
        f"sequential.{int(file.name[6:8])}.{name}"
        for file in sorted(checkpoint.glob("layer*"))
        for name in torch.load(file, weights_only=True)
    ]
    ordered = [name for name in names if not spared(name)] + [name for name in names if spared(name)]
    numbered = {name: number for number, name in enumerate(ordered)}
    first = [name for name in names if name.startswith(("sequential.0", "sequential.2"))]
    last = [name for name in names if name not in first]
    config = config_of("pythia_pp1")
    if tied:
        last = [names[0], *(name for name in last if "final_linear" not in name)]
        (checkpoint / "layer_06-model_00-model_states.pt").unlink()
        config["no_weight_tying"] = False
    for number, own in enumerate((first, last)):
        torch.save(stage_of(content, numbered, own), checkpoint / f"mp_rank_{number:02d}_model_states.pt")
    found, resolved = open_with(checkpoint, config)
    original, settings = opened("pythia_pp1")
    for role in ("exp_avg", "exp_avg_sq"):
        read, wanted = found.states(resolved)[role], original.states(settings)[role]
        assert read.keys() == wanted.keys() - ({"head.weight"} if tied else set())
        assert all(torch.equal(read[name], wanted[name]) for name in read)


def test_the_first_form_of_zero_1_is_refused_by_name(workers, tmp_path):
    workers(2).run(save, tmp_path, FORMS["ZeRO 1"])
    for file in (tmp_path / "global_step2").glob("zero*.pt"):
        content = torch.load(file, weights_only=False)
        state = content["optimizer_state_dict"]
        state["local_sub_partitions_of_fp32_groups"] = [[state.pop("single_partition_of_fp32_groups")]]
        state["base_optimizer_state"] = [[{}]]
        torch.save(content, file)
    with pytest.raises(UserError, match=r"DeepSpeed's first ZeRO stage 1 .* no_load_optim=true"):
        open_with(tmp_path, SETTINGS)
    assert len(open_with(tmp_path, SETTINGS | {"no_load_optim": True})[0].settings) > 5
