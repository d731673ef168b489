"""Roles of special tokens and chat templates, from Hugging Face to ours and back: as transformers reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers
from foreign_models import convert, save_ours
from instruct_models import BEGIN, END, LLAMA, PAD, TEMPLATE, TURN, behaviour, save_instruct
from neox_commands import checkpoint_reshard
from neox_converters.tokenizer_files import find_tokenizer
from sentence_piece_models import train

from neox_core.data.tokenizers import BESIDE, load_tokenizer
from neox_core.plugins import CommandContext, Switches

WRITTEN = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
"""The names of what is written where nothing lies beside the tokenizer."""


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def described(directory: Path, name: str = "tokenizer_config.json") -> dict:
    return json.loads((directory / name).read_text())


def through_ours(theirs: Path, between: str | None = None) -> Path:
    """A directory of Hugging Face as a checkpoint of ours, where wanted as another family's and ours again, and back."""
    ours, back = theirs.with_name("ours"), theirs.with_name("back")
    assert convert(theirs, ours) == 0
    if between is not None:
        assert convert(ours, theirs.with_name("between"), "--to", between) == 0
        ours = theirs.with_name("ours-again")
        assert convert(theirs.with_name("between"), ours) == 0
    assert convert(ours, back) == 0
    return back


@pytest.mark.parametrize("template_in_a_file", [True, False])
@pytest.mark.parametrize("between", [None, "gpt-neox"])
def test_a_tokenizer_of_chats_comes_back_as_it_was(tmp_path, capsys, template_in_a_file, between):
    theirs = save_instruct(tmp_path / "theirs", template_in_a_file=template_in_a_file)
    assert (theirs / "chat_template.jinja").is_file() == template_in_a_file
    before = behaviour(theirs)
    assert (before["special"], before["generation"]["eos_token_id"]) == ((0, 3, 2), [1, 3])
    back = through_ours(theirs, between)
    after = behaviour(back)
    assert after.pop("model") == before["special"]
    assert after == {key: value for key, value in before.items() if key != "model"}
    for name in BESIDE:
        assert (back / name).is_file() == (theirs / name).is_file()
        assert not (theirs / name).is_file() or (back / name).read_bytes() == (theirs / name).read_bytes()
    assert "left out" not in capsys.readouterr().err


def test_a_checkpoint_of_ours_that_is_cut_anew_keeps_them(tmp_path):
    theirs = save_instruct(tmp_path / "theirs")
    convert(theirs, tmp_path / "ours")
    words = [str(tmp_path / "ours"), str(tmp_path / "cut"), "--tp", "2"]
    assert checkpoint_reshard.main(words, CommandContext(Switches())) == 0
    convert(tmp_path / "cut", tmp_path / "back")
    assert behaviour(tmp_path / "back")["chat"] == behaviour(theirs)["chat"]


def test_without_files_beside_it_a_tokenizer_is_described_by_its_names(tmp_path):
    theirs = save_instruct(tmp_path / "theirs")
    for name in BESIDE:
        (theirs / name).unlink(missing_ok=True)
    back = through_ours(theirs)
    assert names(back) == WRITTEN
    assert described(back) == {
        "bos_token": BEGIN,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": 64,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}
    assert described(back, "generation_config.json") == ids
    assert ids.items() <= described(back, "config.json").items()


def test_code_does_not_go_along_and_that_is_said(tmp_path, capsys):
    theirs = save_instruct(tmp_path / "theirs")
    own = {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}, "tokenizer_class": "OwnTokenizer"}
    (theirs / "tokenizer_config.json").write_text(json.dumps({**described(theirs), **own}))
    back = through_ours(theirs)
    told = capsys.readouterr().err
    assert "note: auto_map of " in told
    assert "tokenizer_config.json has no form in hf-llama, and is left out" in told
    assert described(back) == {
        **{key: value for key, value in described(theirs).items() if key != "auto_map"},
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    assert behaviour(back)["special"] == (0, 3, 2)


@pytest.mark.parametrize("content", ["[]", "{", "\udcff"], ids=["a list", "cut off", "no text"])
def test_what_is_no_json_object_is_left_out_and_that_is_said(tmp_path, capsys, content):
    theirs = save_instruct(tmp_path / "theirs")
    odd = ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
    for name in odd:
        (theirs / name).write_bytes(content.encode(errors="surrogateescape"))
    back = through_ours(theirs)
    told = capsys.readouterr().err
    for name in odd:
        assert f"{name} is no JSON object, and is left out" in told
    assert names(back) == WRITTEN | {"chat_template.jinja"}
    found = transformers.AutoTokenizer.from_pretrained(back)
    assert (found.bos_token, found.eos_token, found.chat_template) == (BEGIN, END, TEMPLATE)


def test_roles_that_the_map_of_special_tokens_alone_says_are_taken(tmp_path):
    theirs = save_instruct(tmp_path / "theirs")
    (theirs / "tokenizer_config.json").unlink()
    said = {"bos_token": None, "eos_token": TURN, "pad_token": {"content": PAD, "lstrip": False}}
    (theirs / "special_tokens_map.json").write_text(json.dumps(said))
    back = through_ours(theirs)
    found = transformers.AutoTokenizer.from_pretrained(back)
    assert (found.bos_token, found.eos_token, found.pad_token) == (None, TURN, PAD)
    config = described(back, "config.json")
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (None, 3, 2)


@pytest.mark.parametrize(("further", "end"), [({}, 1), ({"added_tokens_decoder": {"3": {"content": TURN}}}, 3)])
def test_where_the_map_of_special_tokens_says_otherwise_the_ids_are_those_that_transformers_takes(
    tmp_path, further, end
):
    theirs = save_instruct(tmp_path / "theirs")
    config = {key: value for key, value in described(theirs).items() if key != "added_tokens_decoder"}
    (theirs / "tokenizer_config.json").write_text(json.dumps({**config, **further}))
    (theirs / "special_tokens_map.json").write_text(json.dumps({"eos_token": END}))
    back = through_ours(theirs)
    read = [transformers.AutoTokenizer.from_pretrained(directory).eos_token_id for directory in (theirs, back)]
    assert [*read, described(back, "config.json")["eos_token_id"]] == [end, end, end]


def test_a_description_without_roles_and_class_gets_those_that_the_names_say(tmp_path):
    theirs = save_instruct(tmp_path / "theirs")
    (theirs / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 20, "extra": "\u00e9"}))
    back = through_ours(theirs)
    assert described(back) == {
        "model_max_length": 20,
        "extra": "\u00e9",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
    }
    assert described(back, "config.json")["eos_token_id"] == 1


def test_roles_go_to_tokens_that_files_add_to_a_model_of_sentence_piece(tmp_path):
    (tmp_path / "source").mkdir()
    sentences = ["the cat sat on the mat, a bird in the hand"] * 20
    path = train(tmp_path / "source/tokenizer.model", sentences, 280, byte_fallback=True, hard_vocab_limit=False)
    rows = load_tokenizer("SPMTokenizer", path).vocab_size
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "bos_token": "<s>",
        "eos_token": "\u2581the",
        "pad_token": {"content": "<pad>", "special": True},
        "added_tokens_decoder": {str(rows): {"content": "<pad>", "special": True}},
    }
    (path.parent / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer("SPMTokenizer", path)
    end = next(token for token in range(rows) if tokenizer.piece(token) == "\u2581the")
    save_ours(tmp_path / "ours", {**LLAMA.ours, "vocab_size": 512}, tokenizer=tokenizer.source)
    convert(tmp_path / "ours", tmp_path / "theirs")
    ids = {"bos_token_id": 1, "eos_token_id": end, "pad_token_id": rows}
    assert ids.items() <= described(tmp_path / "theirs", "config.json").items()
    assert described(tmp_path / "theirs") == config
    kept = find_tokenizer(tmp_path / "theirs")
    assert kept is not None
    assert kept.fingerprint == tokenizer.fingerprint
