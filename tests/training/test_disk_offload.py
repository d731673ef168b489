"""With weights and optimizer on disks it is the same training; checkpoints have all of it, and any other run goes on from them."""

from __future__ import annotations

import resource
from types import SimpleNamespace

import disk_ranks as ranks
import parallel_ranks
import pytest
import torch
import zero_ranks as zero
from compiled_extensions import why_not
from training_models import resolve
from whole_matrix import in_whole

from neox_core.errors import UserError
from neox_core.training import disk_checks
from neox_core.training.deepspeed import disks

LARGE = {"hidden_size": 256, "init_method_std": 0.05}
"""On two ranks some groups of parameters are large enough for DeepSpeed to move them: 1 MiB."""
IN_MEMORY = {"stage": 3, "sub_group_size": 280_000, "stage3_param_persistence_threshold": 0}
IN_HOST = {**IN_MEMORY, "offload_optimizer": {"device": "cpu"}}
PIPELINED = {"pipeline_read": True, "pipeline_write": True, "buffer_count": 9}


@pytest.fixture(scope="module")
def operator():
    """Built before ranks are asked for something: they have to answer in time."""
    disks.build_operator()


MISSING = disk_checks.lack()
REASON = why_not("async_io", MISSING and f"there is no {MISSING}: apt-get install libaio-dev g++ ninja-build")


def needs_operator(test):
    return pytest.mark.skipif(REASON is not None, reason=str(REASON))(pytest.mark.usefixtures("operator")(test))


def on_disks(directory, **options):
    return {**IN_MEMORY, "offload_optimizer": {"device": "nvme", "nvme_path": str(directory), **options}}


@needs_operator
@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, {"gradient_clipping": 0.5}),
        (PIPELINED, {"precision": "bfloat16"}),
        ({"pipeline_read": True, "buffer_count": 6}, {"fp16": {"enabled": True, "loss_scale": 128}}),
        (
            {"pipeline_write": True},
            {"optimizer": {"type": "lion", "params": {"lr": 0.001}}, "train_micro_batch_size_per_gpu": 1},
        ),
    ],
)
def test_weights_and_state_are_those_of_a_run_in_memory(workers, tmp_path, options, changes):
    disk = on_disks(tmp_path, **options)
    assert all(workers(2).run(ranks.states_agree, 3, IN_HOST, disk, **LARGE, **changes))


FREE = {"optimizer": {"type": "schedule_free_adamw", "params": {"lr": 0.01}}, "lr_decay_style": "constant"}


@needs_operator
@pytest.mark.parametrize(
    ("options", "changes"), [in_whole({}, {}), (PIPELINED, {"precision": "bfloat16"}), in_whole({}, FREE)]
)
def test_another_engine_goes_on_to_the_bit(workers, tmp_path, options, changes):
    changes = {**LARGE, **changes}
    found = workers(2).run(
        zero.gone_on, tmp_path / "a", zero_optimization=on_disks(tmp_path / "disk", **options), **changes
    )
    expected = workers(2).run(zero.gone_on, tmp_path / "b", zero_optimization=IN_HOST, **changes)
    assert found[0].curve == expected[0].curve
    assert found[0].again == [loss for loss, _ in found[0].curve[2:]]


@needs_operator
def test_any_number_of_ranks_goes_on_with_disks_and_without(workers, tmp_path):
    changes = {**LARGE, "train_batch_size": 6, "optimizer": {"type": "adamw", "params": {"lr": 0.001}}}
    plain = {"zero_optimization": {"stage": 0}, **changes}
    disk = {"zero_optimization": on_disks(tmp_path / "disk"), **changes}
    expected = workers(1).run(ranks.trained, tmp_path / "whole", 4, **plain)[0].losses

    begin, losses = None, []
    for number, steps, options in ((2, 2, disk), (1, 1, plain), (3, 1, disk)):
        losses += workers(number).run(ranks.trained, tmp_path, steps, begin, **options)[0].losses
        begin = tmp_path / f"global_step{len(losses)}"
    assert losses == pytest.approx(expected, rel=1e-5)


@needs_operator
def test_between_steps_memory_has_none_of_it(workers, tmp_path):
    for found in workers(2).run(ranks.trained, tmp_path / "a", zero_optimization=on_disks(tmp_path / "disk"), **LARGE):
        assert found.held == 0
        assert found.on_disks > 3 * 500_000


@needs_operator
def test_a_step_whose_gradient_is_not_finite_leaves_files_alone(workers, tmp_path):
    found = workers(2).run(parallel_ranks.with_an_overflow, zero_optimization=on_disks(tmp_path), **LARGE)
    expected = workers(2).run(parallel_ranks.with_an_overflow, zero_optimization=IN_MEMORY, **LARGE)
    assert [result.applied for result in found[0]] == [True, False, True, True]
    assert [result.loss for result in found[0]] == pytest.approx([result.loss for result in expected[0]], rel=1e-6)


def all_on_disks(directory, buffer_count):
    weights = {
        "device": "nvme",
        "nvme_path": str(directory),
        "max_in_cpu": 0,
        "buffer_size": 320_000,
        "buffer_count": buffer_count,
    }
    return {**on_disks(directory, **PIPELINED), "offload_param": weights}


WIDE = {"hidden_size": 384, "init_method_std": 0.05}
"""On two ranks the matrices of MLPs are large enough."""


@needs_operator
@pytest.mark.parametrize(
    "changes",
    [
        in_whole({"precision": "bfloat16", "activation": "swiglu"}),
        {"checkpoint_activations": True, "no_weight_tying": False},
        in_whole({"soft_prompt_tuning": {"enabled": True, "num_tokens": 3}}),
    ],
)
def test_weights_that_compute_are_on_disks_too(workers, tmp_path, changes):
    changes = {**WIDE, **changes}
    disk = all_on_disks(tmp_path / "disk", buffer_count=6)
    found = workers(2).run(zero.gone_on, tmp_path / "a", zero_optimization=disk, **changes)
    expected = workers(2).run(zero.gone_on, tmp_path / "b", zero_optimization=IN_HOST, **changes)
    assert found == expected


@needs_operator
def test_evaluation_reads_weights_from_disks(workers, tmp_path):
    changes = {**WIDE, "num_layers": 3}
    disk = {**all_on_disks(tmp_path, buffer_count=3), "stage3_max_reuse_distance": 0, "stage3_max_live_parameters": 0}
    found = workers(2).run(ranks.with_evaluations, zero_optimization=disk, **changes)[0]
    expected = workers(2).run(ranks.with_evaluations, zero_optimization=IN_HOST, **changes)[0]
    assert found.losses == expected.losses
    assert found.on_disks > expected.on_disks == 0


def test_weights_that_buffers_do_not_hold_are_refused():
    swapper = SimpleNamespace(elements_per_buffer=50, dtype=torch.bfloat16, swappable_tensor=lambda numel: numel > 10)
    on_disk, weight = disks.WeightsOnDisks(swapper), torch.nn.Parameter(torch.ones(101))
    on_disk.check_before(weight, torch.bfloat16, 3)
    on_disk.check_before(weight, torch.float32, 11)
    with pytest.raises(UserError, match=r"offload_param.buffer_size: 50: .* has 51 elements: write buffer_size: 51"):
        on_disk.check_before(weight, torch.bfloat16, 2)
    with pytest.raises(
        UserError, match=r"kept in torch.float32, and DeepSpeed's buffers are torch.bfloat16: write device: cpu"
    ):
        on_disk.check_before(weight, torch.float32, 3)


def refusals(**changes):
    resolved, plugins = resolve(**changes)
    return " ".join(map(str, disk_checks.disk_problems(resolved, plugins)))


def test_a_machine_that_cannot_build_the_operator_is_told_what_to_install(monkeypatch, tmp_path):
    changes = {"zero_optimization": on_disks("/scratch", **PIPELINED)}
    monkeypatch.setattr(disk_checks, "lack", lambda: "libaio")
    assert "offload_optimizer.device: 'nvme' needs libaio" in (said := refusals(**changes))
    assert "apt-get install libaio-dev" in said
    assert "device: cpu" in said
    assert not refusals(zero_optimization=IN_MEMORY)


def test_what_is_lacking_is_found_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert disk_checks.lack() == "g++ and ninja"
    for name, text in (("ninja", ""), ("g++", "#!/bin/sh\nexit 1")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    assert disk_checks.lack() == "libaio"


def test_optimizers_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(disk_checks, "lack", lambda: None)
    disk = {"zero_optimization": on_disks("/scratch")}
    assert "lamb works on whole parameters" in refusals(optimizer={"type": "lamb", "params": {}}, **disk)
    assert not refusals(**disk)
    said = refusals(zero_optimization=on_disks("/scratch", pipeline_read=True))
    assert "offload_optimizer.buffer_count: 4 is too few for adamw, which needs 6" in said
    assert "write buffer_count: 6" in said


def test_buffers_that_cannot_be_locked_are_refused(monkeypatch):
    monkeypatch.setattr(disks, "CAN_LOCK", 0)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (4096, 8192))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    disks.check_lockable("offload_param", 8192)
    with pytest.raises(
        UserError, match="8193 bytes, which have to be locked in memory, and this process may lock 8192: raise"
    ):
        disks.check_lockable("offload_optimizer", 8193)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"offload_optimizer.nvme_path: .*file/disk: Not a directory; name a directory"):
        disks._own_directory("offload_optimizer", tmp_path / "file" / "disk")
