"""What is around mamba-ssm's and causal-conv1d's kernels, for which those of transformers in plain torch stand."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

import pytest
import torch
from training_models import SETTINGS, plugins

from neox_core.config import NeoXArgs, World
from neox_core.errors import SettingsError, UserError
from neox_core.model import LayerContext, Positions

KEYS = {
    "mamba_selective_scan_fusion": "selective_scan_fn",
    "mamba_causal_conv_fusion": "causal_conv1d_fn",
    "mamba_inner_func_fusion": "mamba_inner_fn",
}


def reference() -> ModuleType:
    """It is imported by who runs a test of this file: that takes seconds."""
    return import_module("transformers.models.mamba.modeling_mamba")


def inner(xz, conv_weight, conv_bias, x_weight, dt_weight, out_weight, out_bias, a, b=None, c=None, **rest):
    """`mamba_inner_fn`, which transformers has no plain form of."""
    assert b is None
    assert c is None
    x, z = xz.chunk(2, 1)
    x = reference().causal_conv1d_fn(x, conv_weight.squeeze(1), conv_bias, activation="silu")
    parts = x.transpose(1, 2) @ x_weight.T
    step, b, c = parts.transpose(1, 2).split([dt_weight.shape[1], 16, 16], 1)
    y = reference().mamba_selective_scan(x, dt_weight @ step, a, b, c, z=z, D=rest.pop("D"), **rest)
    return torch.nn.functional.linear(y.transpose(1, 2), out_weight, out_bias)


@pytest.fixture
def called(monkeypatch):
    """The names of kernels that were called, of packages that seem to be there."""
    calls = []

    def kernel(name, function):
        def recorded(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        return recorded

    modules = {
        "mamba_ssm": {},
        "mamba_ssm.ops": {},
        "mamba_ssm.ops.selective_scan_interface": {
            "selective_scan_fn": reference().mamba_selective_scan,
            "mamba_inner_fn": inner,
        },
        "causal_conv1d": {"causal_conv1d_fn": reference().causal_conv1d_fn},
    }
    for name, functions in modules.items():
        module = ModuleType(name)
        for attribute, function in functions.items():
            setattr(module, attribute, kernel(attribute, function))
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def block(device="cuda", **changes):
    """A block of a run on a device; its weights are on the CPU."""
    values = {**SETTINGS, "attention_config": ["mamba", "mamba"], "norm": "rmsnorm", "pos_emb": "none", **changes}
    resolved = NeoXArgs.from_dict(values, plugins=plugins()).resolve(World.local(1, device))
    mixer = plugins().make("attention", "mamba", LayerContext(0, resolved, Positions(None), plugins()))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            around = parameter if name in {"A_log", "D", "norm.weight"} else 0
            parameter.copy_(around + 0.4 * torch.randn_like(parameter))
    return mixer


def mix(mixer, documents=None, cache=None):
    x = torch.randn(2, 10, 16, generator=torch.Generator().manual_seed(1))
    return mixer(x, positions=torch.arange(10)[None], documents=documents, cache=cache)


@pytest.mark.parametrize("bias_in_conv", [True, False])
@pytest.mark.parametrize(
    ("keys", "kernels"),
    [
        ([], []),
        (["mamba_selective_scan_fusion"], ["selective_scan_fn"]),
        (["mamba_causal_conv_fusion"], ["causal_conv1d_fn"]),
        (["mamba_causal_conv_fusion", "mamba_selective_scan_fusion"], ["causal_conv1d_fn", "selective_scan_fn"]),
        (list(KEYS), ["mamba_inner_fn"]),
    ],
)
def test_each_key_calls_its_kernel_and_changes_nothing_else(called, keys, kernels, bias_in_conv):
    changes = {"mamba_use_bias_in_conv": bias_in_conv}
    expected = mix(block("cpu", **changes))
    found = mix(block(**changes, **dict.fromkeys(keys, True)))
    assert called == kernels
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_kernels_are_for_whole_sequences_of_one_document(called):
    mixer, plain = block(**dict.fromkeys(KEYS, True)), block("cpu")
    documents = torch.tensor([[0] * 4 + [1] * 6]).expand(2, -1)
    torch.testing.assert_close(mix(mixer, documents), mix(plain, documents))
    torch.testing.assert_close(mix(mixer, None, mixer.new_cache(2, 10)), mix(plain))
    assert called == []


def test_no_kernel_runs_on_a_cpu(called):
    mix(block("cpu", **dict.fromkeys(KEYS, True)))
    assert called == []


@pytest.mark.parametrize("key", KEYS)
def test_a_kernel_that_is_not_there_is_named(monkeypatch, key):
    for name in ("mamba_ssm", "causal_conv1d"):
        monkeypatch.setitem(sys.modules, name, None)
    package = "causal-conv1d" if "conv" in key else "mamba-ssm"
    with pytest.raises(UserError, match=f"{key}: true needs the package {package}, .* pip install {package}, or set"):
        block(**{key: True})
    block("cpu", **{key: True})


def test_the_kernel_for_the_whole_block_cannot_sum_over_ranks():
    values = {**SETTINGS, "attention_config": ["mamba", "mamba"], "mamba_inner_func_fusion": True}
    with pytest.raises(SettingsError, match=r"mamba_inner_func_fusion.*cannot sum over model_parallel_size 2 ranks"):
        NeoXArgs.from_dict({**values, "model_parallel_size": 2}, plugins=plugins()).resolve(World.local(2))
