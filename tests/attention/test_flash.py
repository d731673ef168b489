"""Flash attention: what is passed to flash-attn's function, when it is used, and that all else equals global attention."""

from __future__ import annotations

import logging
import math
import sys
from types import ModuleType

import pytest
import torch
from neox_attention import flash
from neox_attention.scores import Softmax, eager
from neox_attention.token_cache import Tokens
from neox_attention.visibility import Visibility
from training_models import SETTINGS, context, plugins

from neox_core.config import NeoXArgs, World
from neox_core.model import LayerContext, Positions, initialise, make

ON_GPU = {"precision": "bfloat16", "attention_config": ["flash", "flash"]}


@pytest.fixture(autouse=True)
def forget():
    """What was found and said in another test."""
    flash.installed.cache_clear()
    flash.announce.cache_clear()
    yield
    flash.installed.cache_clear()
    flash.announce.cache_clear()


class Recorder:
    """Stands for flash-attn's function."""

    def __init__(self):
        self.calls = []

    def __call__(self, query, key, value, **options):
        self.calls.append(((query, key, value), options))
        return torch.empty_like(query)


@pytest.fixture
def flash_attn(monkeypatch):
    """A package of this name, whose function notes what it is given, and a machine whose memory passes for a GPU's."""
    monkeypatch.setattr(flash, "on_gpu", lambda tensor: True)
    package = ModuleType("flash_attn")
    package.__version__, package.flash_attn_func = "2.7.4.post1", Recorder()
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    return package


def gpu_context(**changes):
    """A context as on a GPU."""
    manager = plugins()
    values = {**SETTINGS, **ON_GPU, **changes}
    resolved = NeoXArgs.from_dict(values, plugins=manager).resolve(World.local(1, "cuda"))
    bare = LayerContext(0, resolved, Positions(None), manager)
    positions = make("position", bare.model.pos_emb, manager, bare.model)
    initialise(positions.named_parameters(), 0)
    return LayerContext(0, resolved, positions, manager)


def forward(before=0, documents=False, dtype=torch.bfloat16, training=False, **changes):
    """Run the mixer of a GPU's run; some tokens with a cache that has others."""
    made = plugins().make("attention", "flash", gpu_context(**changes)).to(dtype).train(training)
    x, positions = torch.randn(2, 10, 32, dtype=dtype), torch.arange(10)[None]
    cache = made.new_cache(2, 10) if before else None
    if before:
        keys, values = torch.randn(2, 2, made.kv_heads, before, made.head_dim, dtype=dtype)
        cache.append(Tokens((keys, values), positions[:, :before], None))
    numbers = torch.tensor([[0] * 5 + [1] * 5] * 2) if documents else None
    return made(x[:, before:], positions=positions[:, before:], documents=numbers, cache=cache)


def sizes(**changes):
    return {"hidden_size": 32, "num_attention_heads": 4, "num_kv_heads": 2, **changes}


def test_the_function_gets_tensors_by_sequence_and_each_option(flash_attn):
    forward(**sizes(sliding_window_width=4, pos_emb="alibi", attention_dropout=0.25), training=True)
    [(tensors, options)] = flash_attn.flash_attn_func.calls
    assert [tuple(tensor.shape) for tensor in tensors] == [(2, 10, 4, 8), (2, 10, 2, 8), (2, 10, 2, 8)]
    assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}
    slopes = options.pop("alibi_slopes")
    assert slopes.dtype == torch.float32
    assert slopes.tolist() == [2**-2, 2**-4, 2**-6, 2**-8]
    expected = {"dropout_p": 0.25, "softmax_scale": None, "causal": True, "window_size": (4, 0), "deterministic": False}
    assert options == expected


def test_options_that_are_not_asked_for_are_off(flash_attn):
    forward(**sizes(attention_dropout=0.25))
    [(_, options)] = flash_attn.flash_attn_func.calls
    assert options["dropout_p"] == 0.0
    assert options["window_size"] == (-1, -1)
    assert options["alibi_slopes"] is None


def test_deterministic_kernels_are_asked_for_where_the_run_asks_for_them(flash_attn):
    torch.use_deterministic_algorithms(True)
    try:
        forward(**sizes())
    finally:
        torch.use_deterministic_algorithms(False)
    assert flash_attn.flash_attn_func.calls[0][1]["deterministic"] is True


def test_on_a_filled_cache_the_function_gets_all_keys_and_stays_causal(flash_attn):
    forward(before=7, **sizes())
    [(tensors, options)] = flash_attn.flash_attn_func.calls
    assert [tensor.shape[1] for tensor in tensors] == [3, 10, 10]
    assert options["causal"] is True


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        pytest.param({"pos_emb": "rpe"}, {}, id="learned biases"),
        pytest.param({}, {"documents": True}, id="documents"),
        pytest.param({}, {"dtype": torch.float32}, id="float32"),
        pytest.param({"num_attention_heads": 8}, {}, id="heads of 4"),
    ],
)
def test_what_the_function_cannot_do_is_left_to_torch(flash_attn, changes, call):
    assert bool(forward(**sizes(**changes), **call).isfinite().all())
    assert not flash_attn.flash_attn_func.calls


def test_what_is_not_on_a_gpu_is_left_to_torch(flash_attn, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "flash_attn", flash_attn)
    assert bool(forward(**sizes()).isfinite().all())
    assert not flash_attn.flash_attn_func.calls


# Numbers


def by_its_description(
    query, key, value, *, dropout_p, softmax_scale, causal, window_size, alibi_slopes, deterministic
):
    """What flash-attn says that it computes, one query at a time; [batch, seq, heads, head_dim]."""
    assert causal
    assert dropout_p == 0
    shared, out = query.shape[2] // key.shape[2], torch.empty_like(query)
    for head in range(query.shape[2]):
        for i in range(query.shape[1]):
            place = i + key.shape[1] - query.shape[1]
            left = 0 if window_size[0] < 0 else max(place - window_size[0], 0)
            keys, values = (part[:, left : place + 1, head // shared] for part in (key, value))
            scores = (keys @ query[:, i, head, :, None]).squeeze(-1) * (softmax_scale or 1 / math.sqrt(query.shape[-1]))
            if alibi_slopes is not None:
                scores = scores - alibi_slopes[head] * (place - torch.arange(left, place + 1))
            out[:, i, head] = (torch.softmax(scores, -1)[:, None] @ values).squeeze(1)
    return out


@pytest.mark.parametrize("queries", [11, 4, 1])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("factor", [None, 1, 2])
def test_the_function_so_called_gives_what_eager_gives(queries, window, factor):
    torch.manual_seed(0)
    query = torch.randn(2, 4, queries, 8, dtype=torch.float64)
    key, value = torch.randn(2, 2, 2, 11, 8, dtype=torch.float64)
    bias = None if factor is None else context(pos_emb="alibi").positions.bias
    softmax = Softmax(bias=bias, divisor=factor or 1, bias_after=True)
    sight = Visibility(torch.arange(11)[None], None, queries, 4, window)
    tensors = (part.transpose(1, 2) for part in (query, key, value))
    found = by_its_description(*tensors, **flash.options(sight, softmax)).transpose(1, 2)
    torch.testing.assert_close(found, eager(query, key, value, sight, softmax).double(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("pos_emb", ["alibi", "rotary", "rpe", "none"])
@pytest.mark.parametrize("window", [None, 5])
def test_on_a_cpu_it_equals_global(pos_emb, window):
    changes = {"pos_emb": pos_emb, "sliding_window_width": window, "num_kv_heads": 2}
    one, other = (plugins().make("attention", name, context(**changes)) for name in ("flash", "global"))
    other.load_state_dict(one.state_dict())
    for mixer in (one, other):
        if pos_emb == "rpe":
            torch.nn.init.ones_(mixer.positions[0].weight)
    x = torch.randn(2, 12, 16)
    mixed = [mixer(x, positions=torch.arange(12)[None], documents=None, cache=None) for mixer in (one, other)]
    assert torch.equal(*mixed)


def test_compat_loses_the_window_of_global_but_not_of_flash():
    changes = {"sliding_window_width": 5, "compat": "gpt-neox"}
    windows = {name: plugins().make("attention", name, context(**changes)).window for name in ("flash", "global")}
    assert windows == {"flash": 5, "global": None}


# Which kernels


def sentence(made_in, caplog):
    caplog.set_level(logging.INFO, "neox")
    for _ in range(3):
        plugins().make("attention", "flash", made_in)
    [record] = caplog.records
    return record.getMessage()


def test_a_run_says_once_that_flash_attn_computes(flash_attn, caplog):
    assert sentence(gpu_context(), caplog) == "attention flash: kernels of flash-attn 2.7.4.post1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"precision": "fp32"}, "flash-attn's compute in fp16 or bf16"),
        ({"pos_emb": "rpe"}, "flash-attn's have no pos_emb: rpe"),
    ],
)
def test_a_run_says_once_why_torch_computes(flash_attn, caplog, changes, reason):
    assert sentence(gpu_context(**changes), caplog) == f"attention flash: torch's kernels, since {reason}"


def test_a_cpu_run_says_that_flash_attn_needs_a_gpu(flash_attn, caplog):
    assert sentence(context(), caplog) == "attention flash: torch's kernels, since flash-attn's need a GPU"


def test_an_old_flash_attn_is_not_used(flash_attn, caplog):
    flash_attn.__version__ = "2.3.0"
    assert "since flash-attn 2.3.0 is older than 2.5" in sentence(gpu_context(), caplog)


def test_a_flash_attn_that_cannot_be_imported_is_told_with_its_reason(monkeypatch, caplog):
    def refuse(name):
        raise ImportError("undefined symbol: _ZN3c10")

    monkeypatch.setattr(flash, "import_module", refuse)
    assert "since flash-attn 2 is not there (undefined symbol: _ZN3c10)" in sentence(gpu_context(), caplog)


def test_a_package_of_another_generation_is_told(flash_attn, caplog):
    del flash_attn.flash_attn_func
    assert "since flash-attn 2 is not there" in sentence(gpu_context(), caplog)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("pos_emb", ["alibi", "rotary"])
@pytest.mark.parametrize("window", [None, 5])
def test_on_a_gpu_it_equals_global(pos_emb, window):
    changes = sizes(pos_emb=pos_emb, sliding_window_width=window)
    one, other = (
        plugins().make("attention", name, gpu_context(**changes)).bfloat16().cuda() for name in ("flash", "global")
    )
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 12, 32, dtype=torch.bfloat16, device="cuda")
    positions = torch.arange(12, device="cuda")[None]
    mixed = [mixer(x, positions=positions, documents=None, cache=None) for mixer in (one, other)]
    torch.testing.assert_close(*mixed, atol=2e-2, rtol=2e-2)
