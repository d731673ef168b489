"""Our cross entropy and its gradient are those of the formula, whatever the blocks that it works in."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from neox_core.model import cross_entropy as module

OPTIONS = [(0.0, 0.0), (0.1, 0.0), (0.0, 0.01), (0.2, 0.05)]


def logits(dtype=torch.float64, scale=1.0):
    values = torch.randn(11, 29, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (scale * values).to(dtype).requires_grad_()


TARGETS = torch.randint(29, (11,), generator=torch.Generator().manual_seed(1))
SHARES = torch.linspace(0, 1, 11)


def ours(x, options, dtype):
    losses = module.cross_entropy(x, TARGETS, *options, dtype)
    return losses, torch.autograd.grad((losses * SHARES).sum(), x)[0]


def by_torch(x, options):
    smoothing, z = options
    losses = functional.cross_entropy(x, TARGETS, reduction="none", label_smoothing=smoothing)
    losses = losses + z * x.logsumexp(-1).square()
    return losses, torch.autograd.grad((losses * SHARES).sum(), x)[0]


@pytest.fixture(params=[1, 3 * 29 * 8, 2**20], ids=["a row", "three rows", "all rows"])
def _blocks(request, monkeypatch):
    monkeypatch.setitem(module.BLOCK_BYTES, "cpu", request.param)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("options", OPTIONS)
def test_it_is_the_formula(options):
    x = logits()
    (losses, gradient), (wanted, wanted_gradient) = ours(x, options, torch.float64), by_torch(x, options)
    torch.testing.assert_close(losses.double(), wanted, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradient, wanted_gradient, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_bfloat16_is_widened_once(scale):
    x = logits(torch.bfloat16, scale)
    losses, gradient = ours(x, (0.0, 0.0), torch.float32)
    wanted, wanted_gradient = by_torch(x.detach().float().requires_grad_(), (0.0, 0.0))
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(losses, wanted)
    torch.testing.assert_close(gradient, wanted_gradient.bfloat16(), atol=1e-4, rtol=1e-2)


def test_the_z_loss_of_large_logits_fits_into_float16():
    x = (logits(torch.float16) + 300).detach().requires_grad_()  # 300^2 does not
    losses, gradient = ours(x, (0.0, 1e-4), torch.float16)
    torch.testing.assert_close(losses, by_torch(x.detach().float().requires_grad_(), (0.0, 1e-4))[0], atol=0.3, rtol=0)
    assert gradient.isfinite().all()


def test_nothing_of_the_size_of_the_logits_is_kept_but_themselves():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        module.cross_entropy(x := logits(torch.bfloat16), TARGETS, 0.0, 0.0, torch.float32)
    assert [t.dtype for t in kept if t.numel() >= x.numel()] == [torch.bfloat16]


def test_the_mean_of_large_logits_fits_into_float16():
    x = (logits(torch.float16) + 3000).detach().requires_grad_()  # their sum does not
    losses, _ = ours(x, (0.1, 0.0), torch.float16)
    torch.testing.assert_close(losses, by_torch(x.detach().float().requires_grad_(), (0.1, 0.0))[0], atol=4, rtol=0)
