"""Directories of transformers, to our checkpoints and back: to the bit, and the same logits; whatever cannot be is refused whole."""

from __future__ import annotations

import base64
import json
import weakref
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from foreign_models import CASES, convert, save_ours, save_theirs
from mup_models import base_shapes
from neox_converters import safetensors_writing
from plugin_runs import listing
from safetensors.torch import load_file, save_file
from sentence_piece_models import train
from training_models import tokens

from neox_core.checkpoint import LazyTensors, Reader
from neox_core.data.tokenizers import CharLevelTokenizer, load_tokenizer
from neox_core.data.tokenizers.training import train_bpe
from neox_core.errors import UserError
from neox_core.plugins import Switches
from neox_core.training import load_trained

TOLERANCE = 1e-4
EVERY = [pytest.param(case, id=name) for name, case in CASES.items()]
LLAMA = CASES["Llama, two key/value heads"]


def stored(directory: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a directory of transformers."""
    return {name: tensor for file in directory.glob("*.safetensors") for name, tensor in load_file(file).items()}


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


def weights(directory: Path) -> dict[str, torch.Tensor]:
    """Every weight of a directory with one checkpoint of ours."""
    reader = Reader(next(directory.glob("global_step*")))
    return {name: reader.whole(name) for name in reader.names}


def edited(directory: Path, **changes) -> Path:
    """config.json with other values; None removes a key."""
    path = directory / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return directory


@pytest.mark.parametrize("case", EVERY)
def test_theirs_becomes_ours_and_theirs_again(tmp_path, capsys, case):
    theirs = save_theirs(case, tmp_path / "theirs")
    assert convert(tmp_path / "theirs", tmp_path / "ours", "--verify") == 0
    samples = tokens(2, 20)
    ours = load_trained(tmp_path / "ours", Switches()).model(samples).logits()
    expected = theirs(samples, use_cache=False).logits
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(ours, expected, atol=TOLERANCE, rtol=0)
    assert "those of transformers" in capsys.readouterr().out
    assert convert(tmp_path / "ours", tmp_path / "again", "--to", case.converter, "--verify") == 0
    assert same(stored(tmp_path / "again"), stored(tmp_path / "theirs"))
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "again", dtype=torch.float32)
    torch.testing.assert_close(again(samples, use_cache=False).logits, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", EVERY)
def test_ours_becomes_theirs_and_ours_again(tmp_path, case):
    saved = save_ours(tmp_path / "ours", case.ours)
    assert convert(tmp_path / "ours", tmp_path / "theirs", "--to", case.converter) == 0
    assert convert(tmp_path / "theirs", tmp_path / "again") == 0
    assert same(weights(tmp_path / "again"), {name: weight.detach() for name, weight in saved.items()})
    before, after = (load_trained(tmp_path / name, Switches()) for name in ("ours", "again"))
    samples = tokens(2, 20)
    assert torch.equal(before.model(samples).logits(), after.model(samples).logits())
    assert after.iteration == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_what_it_is(tmp_path, dtype):
    save_theirs(LLAMA, tmp_path / "theirs", getattr(torch, dtype))
    convert(tmp_path / "theirs", tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "again")
    assert same(stored(tmp_path / "again"), stored(tmp_path / "theirs"))
    assert json.loads((tmp_path / "again/config.json").read_text())["dtype"] == dtype
    convert(tmp_path / "ours", tmp_path / "wide", "--dtype", "float32", "--verify")
    assert {tensor.dtype for tensor in stored(tmp_path / "wide").values()} == {torch.float32}


def test_weights_are_rounded_when_that_is_asked_for_and_verified_as_rounded(tmp_path, capsys):
    saved = save_ours(tmp_path / "ours", LLAMA.ours)
    assert convert(tmp_path / "ours", tmp_path / "theirs", "--dtype", "bfloat16", "--verify", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verified"]["difference"] < TOLERANCE
    assert (found["to_family"], found["dtype"], found["tensors"]) == ("hf-llama", "bfloat16", len(saved))
    embedding = stored(tmp_path / "theirs")["model.embed_tokens.weight"]
    assert torch.equal(embedding, saved["embedding.weight"].bfloat16())


def test_many_files_with_an_index_are_written_and_read(tmp_path, monkeypatch):
    saved = save_ours(tmp_path / "ours", LLAMA.ours)
    monkeypatch.setattr(safetensors_writing, "SHARD_BYTES", 5000)
    convert(tmp_path / "ours", tmp_path / "theirs", "--verify")
    files = sorted(file.name for file in (tmp_path / "theirs").glob("*.safetensors"))
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert all(file.stat().st_size < 5000 + 3000 for file in (tmp_path / "theirs").glob("*.safetensors"))
    convert(tmp_path / "theirs", tmp_path / "again")
    assert same(weights(tmp_path / "again"), {name: weight.detach() for name, weight in saved.items()})
    (tmp_path / "theirs" / files[1]).unlink()
    with pytest.raises(UserError, match=rf"index.json names {files[1]}, which is not there; get all files"):
        convert(tmp_path / "theirs", tmp_path / "more")


@pytest.mark.parametrize("pieces", [1, 2])
def test_pickles_of_weights_are_read_and_others_are_not(tmp_path, pieces):
    theirs = save_theirs(LLAMA, tmp_path / "theirs")
    held = stored(tmp_path / "theirs")
    (tmp_path / "theirs/model.safetensors").unlink()
    names = sorted(held)
    files = {f"pytorch_model-{number}.bin": names[number::pieces] for number in range(pieces)}
    for file, some in files.items():
        torch.save(
            {name: held[name] for name in some}, tmp_path / "theirs" / (file if pieces > 1 else "pytorch_model.bin")
        )
    if pieces > 1:
        index = {"weight_map": {name: file for file, some in files.items() for name in some}}
        (tmp_path / "theirs/pytorch_model.bin.index.json").write_text(json.dumps(index))
    convert(tmp_path / "theirs", tmp_path / "ours")
    samples = tokens(2, 20)
    ours = load_trained(tmp_path / "ours", Switches()).model(samples).logits()
    torch.testing.assert_close(ours, theirs(samples).logits, atol=TOLERANCE, rtol=0)


def test_of_pickles_null_says_as_many_key_value_heads_as_heads(tmp_path):
    theirs = save_theirs(CASES["Mistral, without a window"], tmp_path / "theirs")
    torch.save(stored(tmp_path / "theirs"), tmp_path / "theirs/pytorch_model.bin")
    (tmp_path / "theirs/model.safetensors").unlink()
    config = json.loads((tmp_path / "theirs/config.json").read_text())
    (tmp_path / "theirs/config.json").write_text(json.dumps({**config, "num_key_value_heads": None}))
    samples = tokens(2, 20)
    ours = load_trained(tmp_path / "theirs", Switches()).model(samples).logits()
    torch.testing.assert_close(ours, theirs(samples).logits, atol=TOLERANCE, rtol=0)


class Dangerous:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_run_that_a_pickle_asks_for(tmp_path):
    save_theirs(LLAMA, tmp_path / "theirs")
    (tmp_path / "theirs/model.safetensors").unlink()
    torch.save({"a": Dangerous(tmp_path / "touched")}, tmp_path / "theirs/pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model.bin holds more than tensors, and reading it would run code"):
        convert(tmp_path / "theirs", tmp_path / "ours")
    assert not (tmp_path / "touched").exists()
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("name", "then"),
    [
        (
            "GPTNeoX, without biases of the attention, another base, tied",
            {
                "rope_parameters": None,
                "rotary_pct": 1.0,
                "rotary_emb_base": 500,
                "dtype": None,
                "torch_dtype": "float32",
            },
        ),
        (
            "GPTNeoX, parallel, a quarter rotated",
            {"rope_parameters": None, "rotary_pct": 0.5, "attention_bias": None, "use_parallel_residual": None},
        ),
        (
            "Llama, as many key/value heads as heads",
            {
                "rope_parameters": None,
                "rope_theta": 10000.0,
                "rope_scaling": None,
                "head_dim": None,
                "num_key_value_heads": None,
                "attention_bias": None,
                "mlp_bias": None,
            },
        ),
        (
            "Mistral, a window of 5 tokens",
            {"rope_parameters": {"rope_theta": 10000, "type": "default"}, "head_dim": None},
        ),
        ("Mamba", {"tie_word_embeddings": None, "time_step_rank": "auto", "intermediate_size": None}),
        (
            "GPTNeoX, without biases of the attention, another base, tied",
            {
                "rope_parameters": None,
                "rotary_pct": 1.0,
                "rotary_emb_base": 500,
                "rope_theta": 7,
                "partial_rotary_factor": 0.5,
            },
        ),
        (
            "Llama, two key/value heads",
            {
                "rope_parameters": {"rope_type": "default", "rope_theta": 7.0},
                "rope_scaling": {"type": "default", "rope_theta": 10000.0},
                "rope_theta": 7.0,
            },
        ),
    ],
)
def test_configurations_of_earlier_versions_mean_the_same(tmp_path, name, then):
    case = CASES[name]
    theirs = save_theirs(case, tmp_path / "theirs")
    convert(edited(tmp_path / "theirs", **then), tmp_path / "ours")
    samples = tokens(2, 20)
    ours = load_trained(tmp_path / "ours", Switches()).model(samples).logits()
    torch.testing.assert_close(ours, theirs(samples, use_cache=False).logits, atol=TOLERANCE, rtol=0)


def test_a_configuration_in_the_words_of_transformers_4_is_in_what_is_written(tmp_path):
    save_ours(tmp_path / "neox", {"rotary_pct": 0.5, "rotary_emb_base": 500, "gpt_j_residual": True})
    convert(tmp_path / "neox", tmp_path / "gpt-neox")
    config = json.loads((tmp_path / "gpt-neox/config.json").read_text())
    assert (config["rotary_pct"], config["rotary_emb_base"], config["torch_dtype"]) == (0.5, 500, "float32")
    assert "embed_out.weight" in stored(tmp_path / "gpt-neox")
    save_ours(tmp_path / "llama-like", LLAMA.ours)
    convert(tmp_path / "llama-like", tmp_path / "llama")
    config = json.loads((tmp_path / "llama/config.json").read_text())
    assert (config["rope_theta"], config["num_key_value_heads"], config["torch_dtype"]) == (10000, 2, "float32")


def test_an_empty_list_of_architectures_says_nothing(tmp_path):
    save_theirs(LLAMA, tmp_path / "theirs")
    convert(edited(tmp_path / "theirs", architectures=[]), tmp_path / "ours")
    assert weights(tmp_path / "ours")


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        (
            "Llama, two key/value heads",
            {"vocab_size": 99},
            r"vocab_size: 99 is 64 by 'model.embed_tokens.weight' \[64, 16\].*: mend it",
        ),
        (
            "Llama, two key/value heads",
            {"intermediate_size": 32, "num_hidden_layers": 3},
            r"num_hidden_layers: 3 is 2 by the weights, of which the last are in 'model.layers.1'; intermediate_size: 32 is 24 by",
        ),
        (
            "Llama, two key/value heads",
            {"num_key_value_heads": 4},
            "num_key_value_heads: 4 is 2 by 'model.layers.0.self_attn.k_proj",
        ),
        (
            "Llama, two key/value heads",
            {"head_dim": 8},
            "head_dim: heads are 8 wide .* and in neox hidden_size / num_attention_heads, 4",
        ),
        (
            "Llama, two key/value heads",
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "rope_scaling: positions are scaled by 'llama3'",
        ),
        (
            "Llama, two key/value heads",
            {"rope_parameters": {"rope_type": "yarn", "factor": 8.0}},
            "rope_parameters: positions are scaled by 'yarn'",
        ),
        (
            "Llama, two key/value heads",
            {"rope_parameters": {"rope_theta": 10000.5}},
            "rope_theta: 10000.5 is not a whole number",
        ),
        (
            "Llama, two key/value heads",
            {"hidden_act": "gelu_new"},
            'hidden_act: "gelu_new" is not one of silu, swish, gelu',
        ),
        (
            "Llama, two key/value heads",
            {"layer_types": ["full_attention", "sliding_attention"]},
            "layer_types: 'sliding_attention' is not",
        ),
        (
            "Llama, two key/value heads",
            {"quantization_config": {"quant_method": "gptq"}},
            r"quantization_config: the weights are quantised \(gptq\)",
        ),
        (
            "Llama, two key/value heads",
            {"auto_map": {"AutoModelForCausalLM": "own.Model"}},
            "auto_map: the model is computed by Python code",
        ),
        (
            "Llama, two key/value heads",
            {"architectures": ["LlamaForSequenceClassification"]},
            r'architectures \["LlamaForSequenceClassification"\] end with something else',
        ),
        (
            "Llama, two key/value heads",
            {"model_type": "mixtral"},
            "config.json says model_type 'mixtral', .*; it is no checkpoint of neox, nor of a family .*: .*hf-llama",
        ),
        (
            "Llama, two key/value heads",
            {"model_type": None, "architectures": []},
            "config.json says no model_type, no architectures; it is no checkpoint",
        ),
        ("Llama, two key/value heads", {"rms_norm_eps": "small"}, 'rms_norm_eps: "small" is not a number > 0'),
        ("Llama, two key/value heads", {"num_attention_heads": None}, "there is no 'num_attention_heads'"),
        (
            "Mistral, a window of 5 tokens",
            {"sliding_window": 1},
            "sliding_window: 1 is not a whole number > 1, or null",
        ),
        (
            "Mamba",
            {"state_size": 8},
            "state_size: 8 is another number of states, which neox does not have; it reads 16",
        ),
        ("Mamba", {"use_bias": True}, "use_bias: true is biases of two"),
        ("GPTNeoX, sequential", {"hidden_act": "quick_gelu"}, 'hidden_act: "quick_gelu" is not one of gelu'),
        ("GPTNeoX, sequential", {"hidden_act": ["gelu"]}, r'hidden_act: \["gelu"\] is not one of gelu'),
        (
            "GPTNeoX, sequential",
            {"rope_parameters": None, "rotary_pct": "all"},
            'rotary_pct: "all" is not a number > 0',
        ),
        (
            "Llama, two key/value heads",
            {"max_position_embeddings": float("inf")},
            "max_position_embeddings: Infinity is not a whole number > 0",
        ),
        (
            "Llama, two key/value heads",
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}, "partial_rotary_factor": 1.0},
            "partial_rotary_factor: 0.5 is a part of each head that is rotated",
        ),
    ],
)
def test_what_settings_cannot_express_is_refused_by_name(tmp_path, name, changes, sentence):
    save_theirs(CASES[name], tmp_path / "theirs")
    edited(tmp_path / "theirs", **changes)
    before = listing(tmp_path)
    with pytest.raises(UserError, match=sentence):
        convert(tmp_path / "theirs", tmp_path / "ours")
    assert listing(tmp_path) == before


def test_weights_that_are_missing_left_over_or_cut_off_are_named(tmp_path):
    save_theirs(LLAMA, tmp_path / "theirs")
    file = tmp_path / "theirs/model.safetensors"
    held = load_file(file)
    refused = {
        "is a weight of this architecture in .*, and is not there": {
            n: t for n, t in held.items() if "layers.1.mlp.up" not in n
        },
        "'model.layers.1.experts.weight' is not a weight of this architecture": {
            **held,
            "model.layers.1.experts.weight": torch.ones(2),
        },
        "no 'lm_head.weight' among its weights, and tie_word_embeddings is false": {
            n: t for n, t in held.items() if n != "lm_head.weight"
        },
        r"layers.1.mlp_norm.weight is \[3\], and \[16\] by the settings": {
            **held,
            "model.layers.1.post_attention_layernorm.weight": torch.ones(3),
        },
        "is of type F8_E4M3, which is quantised or unknown": {
            **held,
            "lm_head.weight": held["lm_head.weight"].to(torch.float8_e4m3fn),
        },
    }
    for sentence, tensors in refused.items():
        save_file(tensors, file, metadata={"format": "pt"})
        with pytest.raises(UserError, match=sentence):
            convert(tmp_path / "theirs", tmp_path / "ours")
    content = file.read_bytes()
    file.write_bytes(content[:-10])
    with pytest.raises(
        UserError, match=rf"model.safetensors has {len(content) - 10} bytes, and {len(content)} by its header"
    ):
        convert(tmp_path / "theirs", tmp_path / "ours")
    file.unlink()
    with pytest.raises(UserError, match=r"there is config.json, and no weights: neither model.safetensors nor"):
        convert(tmp_path / "theirs", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pos_emb": "alibi"}, r"(?s)hf-gpt-neox: .*pos_emb: alibi cannot .*hf-llama: .*hf-mamba: .*hf-mistral: "),
        (
            {"gpt_j_residual": True, "gpt_j_tied": True},
            "gpt_j_tied: true cannot be expressed by Hugging Face's GPTNeoX, which needs false",
        ),
        (
            {"sliding_window_width": 4},
            "sliding_window_width: 4 cannot be expressed by Hugging Face's GPTNeoX, which needs none",
        ),
        ({"moe_num_experts": 2}, "moe_num_experts: 2 cannot be expressed by Hugging Face's GPTNeoX"),
        (
            {"attention_config": [[["global", "mamba"], 1]]},
            "attention_config: mamba cannot be expressed by Hugging Face's GPTNeoX",
        ),
    ],
)
def test_what_no_family_can_express_is_refused_with_all_reasons(tmp_path, changes, sentence):
    save_ours(tmp_path / "ours", changes)
    before = listing(tmp_path)
    with pytest.raises(UserError, match=sentence):
        convert(tmp_path / "ours", tmp_path / "theirs")
    assert listing(tmp_path) == before


def mup(**factors):
    """Settings of a model that is twice as wide as its base model."""
    return {"hidden_size": 32, "num_attention_heads": 8, "use_mup": True, "base_shapes": base_shapes(), **factors}


def test_factors_of_mup_are_folded_into_weights_or_refused(tmp_path, capsys):
    save_ours(tmp_path / "ours", mup(mup_embedding_mult=3.0, mup_output_temp=0.7))
    assert convert(tmp_path / "ours", tmp_path / "theirs", "--verify", "--json") == 0
    verified = json.loads(capsys.readouterr().out)["verified"]
    assert verified["difference"] < TOLERANCE
    assert verified["result"].startswith("transformers ")
    save_ours(tmp_path / "warm", mup(mup_attn_temp=2.0))
    with pytest.raises(
        UserError, match=r"hf-gpt-neox: .*use_mup, mup_attn_temp: attention scores are divided by other"
    ):
        convert(tmp_path / "warm", tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_a_failure_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    save_ours(tmp_path / "ours", LLAMA.ours)
    shard = next((tmp_path / "ours/global_step3/shards").iterdir())
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    before = listing(tmp_path)
    with pytest.raises(UserError, match="is damaged"):
        convert(tmp_path / "ours", tmp_path / "theirs")
    assert listing(tmp_path) == before
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/mine.txt").touch()
    with pytest.raises(UserError, match="theirs is there already, and is not an empty directory"):
        convert(tmp_path / "ours", tmp_path / "theirs")


SENTENCES = ("the cat sat on the mat", "caf\u00e9 \u65e5\u672c \U0001f600", "  two  spaces\n\tand a tab ")


def test_a_tokenizer_goes_along_and_gives_the_same_ids(tmp_path):
    tokenizer = train_bpe(SENTENCES, 300)
    ours = {**LLAMA.ours, "tokenizer_type": "HFTokenizer", "vocab_size": 300}
    save_ours(tmp_path / "ours", ours, tokenizer=tokenizer.source)
    convert(tmp_path / "ours", tmp_path / "theirs")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    assert [theirs.encode(text) for text in SENTENCES] == [tokenizer.encode(text) for text in SENTENCES]
    assert [theirs.decode(theirs.encode(text)) for text in SENTENCES] == list(SENTENCES)
    assert (theirs.eos_token_id, theirs.pad_token_id) == (tokenizer.eod_id, tokenizer.pad_id) != (None, None)
    assert theirs.model_max_length == 64
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    assert model.generation_config.eos_token_id == model.config.eos_token_id == tokenizer.eod_id
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "theirs/tokenizer.json"))
    assert fast.encode(SENTENCES[0]) == tokenizer.encode(SENTENCES[0])
    convert(tmp_path / "theirs", tmp_path / "again")
    again = load_trained(tmp_path / "again", Switches())
    assert again.tokenizer.fingerprint == tokenizer.fingerprint
    settings = (tmp_path / "again/global_step0/settings.yml").read_text()
    assert f"vocab_file: {tmp_path}/again/global_step0/tokenizer.json" in settings


def test_a_tokenizer_with_more_tokens_than_the_embedding_has_rows_is_told(tmp_path, capsys):
    theirs = save_theirs(LLAMA, tmp_path / "theirs")
    letters = {chr(33 + number): number for number in range(theirs.config.vocab_size)}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(letters, []))
    backend.add_special_tokens(["<pad>"])
    backend.save(str(tmp_path / "theirs/tokenizer.json"))
    assert convert(tmp_path / "theirs", tmp_path / "ours") == 0
    assert "has 65 tokens and the embedding 64 rows: texts with tokens from 64 on" in capsys.readouterr().err


def test_bytes_are_a_tokenizer_too(tmp_path):
    tokenizer = CharLevelTokenizer()
    save_ours(tmp_path / "ours", {**LLAMA.ours, "vocab_size": 512}, tokenizer=tokenizer.source)
    convert(tmp_path / "ours", tmp_path / "theirs")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    assert [theirs.encode(text) for text in SENTENCES] == [tokenizer.encode(text) for text in SENTENCES]
    assert [theirs.decode(theirs.encode(text)) for text in SENTENCES] == list(SENTENCES)


def test_a_model_of_sentence_piece_goes_along(tmp_path):
    words = " ".join(SENTENCES[:1] * 3 + ("a bird in the hand", "the log of the dog"))
    train(tmp_path / "tokenizer.model", [words] * 20, 300, byte_fallback=True, hard_vocab_limit=False)
    tokenizer = load_tokenizer("SPMTokenizer", tmp_path / "tokenizer.model")
    save_ours(tmp_path / "ours", {**LLAMA.ours, "vocab_size": 512}, tokenizer=tokenizer.source)
    convert(tmp_path / "ours", tmp_path / "theirs")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    assert theirs.encode(SENTENCES[0]) == tokenizer.encode(SENTENCES[0])
    assert (theirs.bos_token, theirs.eos_token) == ("<s>", "</s>")
    convert(tmp_path / "theirs", tmp_path / "again")
    assert load_trained(tmp_path / "again", Switches()).tokenizer.fingerprint == tokenizer.fingerprint


def test_a_tokenizer_that_has_no_form_there_is_left_out_and_that_is_said(tmp_path, capsys):
    ranks = "".join(f"{base64.b64encode(bytes([byte])).decode()} {byte}\n" for byte in range(256))
    (tmp_path / "gpt2.tiktoken").write_text(ranks)
    tokenizer = load_tokenizer("TiktokenTokenizer", tmp_path / "gpt2.tiktoken")
    save_ours(tmp_path / "ours", {**LLAMA.ours, "vocab_size": 512}, tokenizer=tokenizer.source)
    (tmp_path / "theirs").mkdir()  # an empty directory is no obstacle
    assert convert(tmp_path / "ours", tmp_path / "theirs") == 0
    assert "note: the tokenizer, TiktokenTokenizer, has no form in hf-llama, and is left out" in capsys.readouterr().err
    assert not list((tmp_path / "theirs").glob("tokenizer*"))


class Counted(LazyTensors):
    """Tensors of a megabyte, of which is counted how many are alive at once."""

    def __init__(self, names):
        self.names, self.alive, self.most = names, weakref.WeakSet(), 0

    def meta(self, name):
        return torch.empty(2**18, device="meta")

    def __getitem__(self, name):
        tensor = torch.zeros(2**18)
        self.alive.add(tensor)
        self.most = max(self.most, len(self.alive))
        return tensor

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)


def test_files_are_written_a_tensor_at_a_time(tmp_path):
    counted = Counted([f"tensor{number}" for number in range(12)])
    safetensors_writing.write_safetensors(tmp_path, counted, 5 * 2**20)
    assert len(stored(tmp_path)) == 12
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert counted.most == 1
