"""Blocks by torch's kernels, and tile by tile."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from neox_attention import ring_kernels
from neox_attention.ring_blocks import Block, Gradients, Mixed, Queries, RowSight

SIGHT = RowSight(0.3)
BLOCKS = {"before": Block((24, 36), (0, 12)), "diagonal": Block((24, 36), (24, 36))}


def tensors(device: str = "cpu", dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Queries, keys and values, and a gradient, all of 12 tokens; two heads share a key."""
    random = torch.Generator().manual_seed(0)
    query, gradient = torch.randn(2, 2, 4, 12, 8, generator=random, dtype=torch.float64)
    pair = torch.randn(2, 2, 2, 12, 8, generator=random, dtype=torch.float64)
    return [tensor.to(device, dtype) for tensor in (query, pair, gradient)]


def mixed_and_gradients(block: Block, sight: RowSight, given: list[torch.Tensor]) -> list[torch.Tensor]:
    """Of a row in which the queries see one more key than the block has, with score 1 and value 2."""
    query, pair, gradient = given
    mixed = Mixed.of_no_keys(query)
    mixed.add(Mixed(torch.full_like(mixed.out, 2.0), torch.ones_like(mixed.most), torch.ones_like(mixed.sum)))
    ring_kernels.mix(mixed, query, pair, block, sight)
    out = mixed.out / mixed.sum[..., None]
    queries = Queries(
        query, out.to(query.dtype), gradient, mixed.most, mixed.sum, (gradient.to(out.dtype) * out).sum(-1)
    )
    into = Gradients(torch.zeros_like(out), torch.zeros_like(pair, dtype=out.dtype), None)
    ring_kernels.unmix(into, queries, pair, block, sight)
    return [out, into.query, into.pair]


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_kernels_mix_what_tiles_mix(block):
    given = tensors()
    assert ring_kernels.choose(given[0], block, SIGHT)
    found, expected = (mixed_and_gradients(block, replace(SIGHT, in_tiles=tiled), given) for tiled in (False, True))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("block", "changes"),
    [
        (Block((24, 36), (20, 30)), {}),
        (BLOCKS["before"], {"window": 34}),
        (BLOCKS["diagonal"], {"window": 10}),
        (BLOCKS["diagonal"], {"documents": torch.zeros(2, 36)}),
        (BLOCKS["diagonal"], {"biases": torch.zeros(4, 36)}),
        (BLOCKS["diagonal"], {"in_tiles": True}),
    ],
)
def test_what_causality_does_not_say_is_left_to_tiles(block, changes):
    assert ring_kernels.choose(tensors()[0], block, replace(SIGHT, **changes)) is None


@pytest.mark.parametrize("window", [11, 35])
def test_windows_that_hide_nothing_leave_blocks_to_kernels(window):
    block = BLOCKS["diagonal" if window == 11 else "before"]
    assert ring_kernels.choose(tensors()[0], block, replace(SIGHT, window=window))


def test_the_kernels_of_gpus_take_what_they_are_given():
    query, pair, gradient = tensors("meta", torch.bfloat16)
    out, lse = ring_kernels._forward_on_gpus((query, *pair), True, 0.3)
    assert (out.shape, lse.shape, lse.dtype) == (query.shape, query.shape[:-1], torch.float32)
    grown = ring_kernels._backward_on_gpus((gradient, query, *pair, out, lse), True, 0.3)
    assert [part.shape for part in grown] == [query.shape, pair[0].shape, pair[1].shape]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_kernels_of_gpus_mix_what_tiles_mix(block):
    given = tensors("cuda", torch.bfloat16)
    kernel = ring_kernels.choose(given[0], block, SIGHT)
    assert kernel is not None and kernel.forward is ring_kernels._forward_on_gpus
    found = mixed_and_gradients(block, SIGHT, given)
    expected = mixed_and_gradients(block, replace(SIGHT, in_tiles=True), [part.double() for part in given])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=0.03, rtol=0.03)
