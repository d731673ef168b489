"""What every sequence mixer must do, and what its descriptor claims, as checks that the author of a plugin runs.

    from neox_core.testing.mixers import Bench, checks

    @pytest.mark.parametrize("check", checks(plugins, "ring"), ids=lambda check: check.__name__)
    def test_ring(check):
        check(Bench(plugins, "ring"))

A check fails with an AssertionError, or with what the mixer raises. Those of a feature are given only where the descriptor
claims it; without the code for the feature its check fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from neox_core.plugins import Attention, Feature, PluginManager
from neox_core.testing.cut_mixers import cut_and_whole
from neox_core.testing.mixer_bench import (
    HEADS,
    HIDDEN,
    LENGTH,
    Bench as Bench,  # noqa: PLC0414
    Bias,
    close,
    differs,
    in_pieces,
    mix,
)

CUT_TOLERANCE = 1e-9
"""Between one rank and two, in float64."""

# What every mixer must do


@torch.no_grad()
def is_causal(bench: Bench) -> None:
    """A token changes nothing before it, to the bit, and something at its own place."""
    mixer, x = bench.mixer(), bench.inputs(2, 40)
    before = mix(mixer, x)
    for place in (0, 1, 17, 39):
        changed = x.clone()
        changed[:, place, 0] += 1  # not in all channels: a norm takes away what they have in common
        after = mix(mixer, changed)
        assert torch.equal(after[:, :place], before[:, :place]), f"token {place} changes what is before it"
        differs(after[:, place], before[:, place], f"token {place} at its own place")


@torch.no_grad()
def takes_any_shape(bench: Bench) -> None:
    """Any batch and any length: each sequence and each beginning of it come to the same as in a larger batch."""
    mixer, x = bench.mixer(), bench.inputs(3, LENGTH)
    whole = mix(mixer, x)
    for batch, length in ((1, 1), (2, 3), (3, 17), (1, 31), (1, LENGTH)):
        found = mix(mixer, x[:batch, :length])
        assert found.shape == (batch, length, HIDDEN)
        close(found, whole[:batch, :length], f"batch {batch}, length {length}")


def has_the_right_gradient(bench: Bench) -> None:
    """That of finite differences in float64, for inputs and weights."""
    mixer = bench.mixer(torch.float64)
    x = bench.inputs(2, 5, torch.float64).requires_grad_()
    weights = [parameter for parameter in mixer.parameters() if parameter.requires_grad]
    assert torch.autograd.gradcheck(lambda x, *_: mix(mixer, x), (x, *weights), fast_mode=True, atol=1e-6)


@torch.no_grad()
def is_about_the_same_in_bfloat16(bench: Bench) -> None:
    """Errors of the size of bfloat16's own, weights and inputs being the same."""
    wide, narrow = bench.mixer(torch.bfloat16).float(), bench.mixer(torch.bfloat16)
    x = bench.inputs(2, 40, torch.bfloat16)
    wanted, found = mix(wide, x.float()), mix(narrow, x)
    assert found.dtype == torch.bfloat16
    error = float((found.float() - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())
    assert error < 0.03, f"the error in bfloat16 is {error:.3g} of the result"


# What descriptors claim


@torch.no_grad()
def remembers(bench: Bench) -> None:
    """KV_CACHE: reading piece by piece gives what reading at once gives."""
    for changes in _positions(bench):
        mixer, x = bench.mixer(**changes), bench.inputs(2, LENGTH)
        whole = mix(mixer, x)
        close(in_pieces(mixer, x, [1] * LENGTH), whole, f"token by token {changes}")
        close(in_pieces(mixer, x, [20, 1, 1, 7, 30, 5]), whole, f"several tokens on a filled cache {changes}")


@torch.no_grad()
def remembers_ragged_batches(bench: Bench) -> None:
    """KV_CACHE and VARLEN: sequences of different lengths, padded on the left with a document of its own."""
    lengths, longest = (11, 30, 4), 30
    for changes in _positions(bench):
        mixer, x = bench.mixer(**changes), bench.inputs(3, longest)
        starts = torch.tensor([longest - length for length in lengths])[:, None]
        positions = (torch.arange(longest)[None] - starts).clamp(min=0)
        documents = (torch.arange(longest)[None] >= starts).long()
        for found in (
            mix(mixer, x, positions, documents),
            in_pieces(mixer, x, [longest - 6, *[1] * 4, 2], positions, documents),
        ):
            assert bool(found.isfinite().all())
            for row, length in enumerate(lengths):
                alone = mix(mixer, x[row : row + 1, longest - length :])
                close(found[row : row + 1, longest - length :], alone, f"{length} of {longest} tokens {changes}")


@torch.no_grad()
def keeps_caches_apart(bench: Bench) -> None:
    """KV_CACHE: two prompts, one after the other and in turn."""
    mixer, x = bench.mixer(), bench.inputs(2, 20)
    first, second = mixer.new_cache(1, 20), mixer.new_cache(1, 20)
    found: list[list[Tensor]] = [[], []]
    for start in range(0, 20, 5):
        positions = torch.arange(start, start + 5)[None]
        for row, cache in enumerate((first, second)):
            found[row].append(mix(mixer, x[row : row + 1, start : start + 5], positions, cache=cache))
    close(torch.cat([torch.cat(pieces, 1) for pieces in found]), mix(mixer, x), "two prompts in turn")


@torch.no_grad()
def keeps_documents_apart(bench: Bench) -> None:
    """VARLEN: each document of a row comes to what it comes to alone."""
    mixer, x = bench.mixer(), bench.inputs(2, 40)
    found = mix(mixer, x, *_three_documents())
    for start, stop in CUTS:
        close(found[:, start:stop], mix(mixer, x[:, start:stop]), f"the document of tokens {start} to {stop}")


@torch.no_grad()
def remembers_documents(bench: Bench) -> None:
    """KV_CACHE and VARLEN: piece by piece, too; tokens that come without documents are of document 0."""
    mixer, x = bench.mixer(), bench.inputs(2, 40)
    pieces = in_pieces(mixer, x, [10, 1, 2, 1, 26], *_three_documents())
    close(pieces, mix(mixer, x, *_three_documents()), "documents with a cache")
    for number in (0, 1):
        cache = mixer.new_cache(2, 40)
        mix(mixer, x[:, :13], documents=torch.full((2, 13), number), cache=cache)
        start = 13 * (1 - number)
        wanted = mix(mixer, x)[:, 13:] if number == 0 else mix(mixer, x[:, 13:])
        found = mix(mixer, x[:, 13:], torch.arange(start, start + 27)[None], cache=cache)
        close(found, wanted, f"tokens without documents after document {number}")


CUTS = ((0, 13), (13, 14), (14, 40))
"""First token of each of three documents in a row, and the one after its last."""


def _three_documents() -> tuple[Tensor, Tensor]:
    """Positions and documents of two rows."""
    positions = torch.cat([torch.arange(stop - start) for start, stop in CUTS])
    documents = torch.cat([torch.full((stop - start,), number) for number, (start, stop) in enumerate(CUTS)])
    return positions.expand(2, -1), documents.expand(2, -1)


@torch.no_grad()
def looks_no_farther_than_the_window(bench: Bench) -> None:
    """SLIDING_WINDOW: width w sees the w tokens before a token and no more."""
    width, place = 5, 20
    mixer, x = bench.mixer(sliding_window_width=width), bench.inputs(1, 40)
    before = mix(mixer, x)
    for distance, seen in ((width, True), (width + 1, False), (place, False)):
        changed = x.clone()
        changed[:, place - distance] += 1
        after = mix(mixer, changed)
        assert torch.equal(after[:, place], before[:, place]) != seen, (
            f"a token {distance} before, with a width of {width}"
        )
    close(in_pieces(mixer, x, [7, 1, 12, 20]), before, "a window with a cache")


@torch.no_grad()
def turns_by_position(bench: Bench) -> None:
    """ROPE: only differences of positions matter, and they do matter; of a few tokens, which any blocks of tokens have in one."""
    mixer, x = bench.mixer(pos_emb="rotary"), bench.inputs(2, 8)
    found, places = mix(mixer, x), torch.arange(8)[None]
    close(mix(mixer, x, places + 32), found, "positions that begin at 32", 1e-4)
    differs(mix(mixer, x, places * 2), found, "the distance between positions")
    differs(mix(bench.mixer(), x), found, "pos_emb: rotary")


def heeds_alibi(bench: Bench) -> None:
    """ALIBI."""
    _adds_biases(bench, "alibi")


def heeds_relative_positions(bench: Bench) -> None:
    """RPE."""
    _adds_biases(bench, "rpe")


@torch.no_grad()
def _adds_biases(bench: Bench, pos_emb: str) -> None:
    """Those of the positions, to the scores of their head: log 2 less for each token of distance is half as many such tokens."""
    plain, x = bench.mixer(), bench.inputs(2, 4)
    differs(mix(bench.mixer(pos_emb=pos_emb), x), mix(plain, x), pos_emb)
    halving = bench.mixer(pos_emb=pos_emb, bias=_falling(range(HEADS)))
    copies = torch.tensor([1, 2, 4, 8])
    repeated = mix(plain, x.repeat_interleave(copies, 1), torch.arange(4).repeat_interleave(copies)[None])
    close(mix(halving, x)[:, -1], repeated[:, -1], f"{pos_emb}: a bias of -log 2 times the distance")
    for head in range(HEADS):
        biased = bench.mixer(pos_emb=pos_emb, bias=_falling([head]))
        differs(mix(biased, x), mix(plain, x), f"{pos_emb}: the bias of head {head}")


def _falling(which: Sequence[int]) -> Bias:
    """-log 2 times the distance, of these heads only."""
    factors = torch.tensor([-math.log(2) if head in which else 0.0 for head in range(HEADS)])
    return lambda heads, distances: factors[heads] * distances


@torch.no_grad()
def shares_keys(bench: Bench) -> None:
    """GQA: fewer key/value heads have fewer weights, and do what else a mixer does."""
    grouped = _grouped(bench)
    sizes = [sum(weight.numel() for weight in made.mixer().parameters()) for made in (grouped, bench)]
    assert sizes[0] < sizes[1], f"num_kv_heads 2 has {sizes[0]} weights, {HEADS} has {sizes[1]}"
    is_causal(grouped)
    takes_any_shape(grouped)


def remembers_shared_keys(bench: Bench) -> None:
    """GQA and KV_CACHE."""
    keeps_caches_apart(_grouped(bench))


def _grouped(bench: Bench) -> Bench:
    return Bench(bench.plugins, bench.name, {**bench.settings, "num_kv_heads": 2})


@torch.no_grad()
def drops(bench: Bench) -> None:
    """DROPOUT: in training only, by torch's random numbers; where the mixer is the whole block, `hidden_dropout` too."""
    component = bench.plugins.find("attention", bench.name).component
    whole = isinstance(component, Attention) and component.replaces == "block"
    for key in ("attention_dropout", *(("hidden_dropout",) if whole else ())):
        changes: dict[str, Any] = {key: 0.5}
        mixer, x = bench.mixer(**changes), bench.inputs(2, 30)
        close(mix(mixer, x), mix(bench.mixer(), x), f"{key} in evaluation")
        mixer.train()
        found = []
        for seed in (1, 2, 1):
            torch.manual_seed(seed)
            found.append(mix(mixer, x))
        differs(found[0], found[1], key)
        assert torch.equal(found[0], found[2]), f"{key}: the same seed drops something else"


def repeats_itself(bench: Bench) -> None:
    """DETERMINISTIC: the same bits, forwards and backwards."""
    results = []
    for _ in range(2):
        mixer, x = bench.mixer().train(), bench.inputs(2, 40).requires_grad_()
        mixed = mix(mixer, x)
        gradients = torch.autograd.grad(mixed.square().sum(), [x, *mixer.parameters()], allow_unused=True)
        results.append([mixed, *(gradient for gradient in gradients if gradient is not None)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True)), "twice the same is not the same"


def compiles(bench: Bench) -> None:
    """COMPILE: one graph without breaks, which computes the same."""
    mixer, x = bench.mixer().train(), bench.inputs(2, 40)
    torch.compiler.reset()  # there is a limit to how often the same code is compiled, for all mixers of a process
    compiled = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    close(mix(compiled, x).detach(), mix(mixer, x).detach(), "compiled")


def computes_the_same_on_two_ranks(bench: Bench) -> None:
    """TP: heads or channels are cut over two ranks, which drop the same units as one where anything is dropped."""
    _cut_as_whole(bench)


def computes_the_same_with_tokens_cut(bench: Bench) -> None:
    """TP and SP: each rank has some of the tokens between the parallel layers."""
    _cut_as_whole(bench, sequence_parallel=True)


def _cut_as_whole(bench: Bench, **changes: Any) -> None:
    supports = bench.plugins.find("attention", bench.name).component.supports
    if Feature.DROPOUT in supports:
        changes |= {"attention_dropout": 0.3, "hidden_dropout": 0.2}
    if Feature.GQA in supports:
        changes |= {"num_kv_heads": 1}
    for rank, differences in enumerate(cut_and_whole(bench, **changes)):
        for what, error in differences.items():
            assert error <= CUT_TOLERANCE, f"{what} differs by {error:.3g} of its size on rank {rank}"


Check = Callable[[Bench], None]

ALWAYS: tuple[Check, ...] = (is_causal, takes_any_shape, has_the_right_gradient, is_about_the_same_in_bfloat16)
BY_FEATURE: tuple[tuple[frozenset[Feature], Check], ...] = (
    (frozenset({Feature.KV_CACHE}), remembers),
    (frozenset({Feature.KV_CACHE}), keeps_caches_apart),
    (frozenset({Feature.KV_CACHE, Feature.VARLEN}), remembers_ragged_batches),
    (frozenset({Feature.KV_CACHE, Feature.VARLEN}), remembers_documents),
    (frozenset({Feature.VARLEN}), keeps_documents_apart),
    (frozenset({Feature.SLIDING_WINDOW}), looks_no_farther_than_the_window),
    (frozenset({Feature.ROPE}), turns_by_position),
    (frozenset({Feature.ALIBI}), heeds_alibi),
    (frozenset({Feature.RPE}), heeds_relative_positions),
    (frozenset({Feature.GQA}), shares_keys),
    (frozenset({Feature.GQA, Feature.KV_CACHE}), remembers_shared_keys),
    (frozenset({Feature.DROPOUT}), drops),
    (frozenset({Feature.DETERMINISTIC}), repeats_itself),
    (frozenset({Feature.COMPILE}), compiles),
    (frozenset({Feature.TP}), computes_the_same_on_two_ranks),
    (frozenset({Feature.TP, Feature.SP}), computes_the_same_with_tokens_cut),
)


def checks(plugins: PluginManager, name: str) -> list[Check]:
    """The checks of a mixer: what all must do, and what its descriptor claims."""
    supports = plugins.find("attention", name).component.supports
    return [*ALWAYS, *(check for features, check in BY_FEATURE if features <= supports)]


def _positions(bench: Bench) -> Iterator[dict[str, Any]]:
    """Settings with each kind of positions that the mixer heeds."""
    supports = bench.plugins.find("attention", bench.name).component.supports
    yield {}
    for feature, name in ((Feature.ROPE, "rotary"), (Feature.ALIBI, "alibi"), (Feature.RPE, "rpe")):
        if feature in supports:
            yield {"pos_emb": name}
