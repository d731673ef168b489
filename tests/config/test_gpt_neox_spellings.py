"""How GPT-NeoX's files are spelt: each habit that a reader of YAML may stumble over, in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neox_core.config import NeoXArgs, World, read_entries, read_text
from neox_core.config.loading import read_file
from neox_core.errors import SettingsError, UserError

MODEL = """
"num-layers": 2, "hidden-size": 16, "num-attention-heads": 2, "seq-length": 8, "max-position-embeddings": 8,
"train-iters": 5, "train_micro_batch_size_per_gpu": 1, "data-path": "tokens",
"""


def values(text: str) -> dict[str, Any]:
    return {entry.key: entry.value for entry in read_text(text, "run.yml")}


def args(text: str) -> NeoXArgs:
    """The settings of a small model with these keys, in braces."""
    return NeoXArgs(read_text("{" + MODEL + text + "}", "run.yml"))


def file(directory: Path, name: str, content: str | bytes) -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Keys


def test_hyphens_and_underscores_stand_side_by_side():
    text = '{\n  "pipe-parallel-size": 0,\n  "init_method": "small_init",\n  "eval-iters": 10\n}\n'
    assert values(text) == {"pipe_parallel_size": 0, "init_method": "small_init", "eval_iters": 10}


@pytest.mark.parametrize("second", ["num-layers", "num_layers"])
@pytest.mark.parametrize("first", ["num-layers", "num_layers"])
def test_a_key_of_two_files_is_refused_however_it_is_spelt(tmp_path, first, second):
    paths = [
        file(tmp_path, "model.yml", f'{{"{first}": 12}}\n'),
        file(tmp_path, "more.yml", f'{{\n"norm": "rmsnorm",\n"{second}": 24}}\n'),
    ]
    with pytest.raises(SettingsError) as caught:
        read_entries(paths)
    (problem,) = caught.value.problems
    assert problem.keys == ("num_layers",)
    assert problem.message == f"is given twice, first in {paths[0]}:1"
    assert str(problem.origin) == f"{paths[1]}:3"


def test_a_key_twice_in_one_file_is_refused_in_both_spellings(tmp_path):
    path = file(tmp_path, "model.yml", "num-layers: 12\nnorm: rmsnorm\nnum_layers: 12\n")
    with pytest.raises(SettingsError, match=r"model\.yml:3: num_layers: is given twice, first in .*model\.yml:1"):
        read_entries([path])


def test_the_same_value_twice_is_refused_too(tmp_path):
    paths = [file(tmp_path, name, '{"tensorboard_dir": "tensorboard",}') for name in ("local_setup.yml", "prof.yml")]
    with pytest.raises(
        SettingsError, match=r"prof\.yml:1: tensorboard_dir: is given twice, first in .*local_setup\.yml:1"
    ):
        read_entries(paths)


def test_files_of_one_name_in_two_directories_are_two_files(tmp_path):
    paths = []
    for directory, key in (("model", "num_layers"), ("training", "train_iters")):
        (tmp_path / directory).mkdir()
        paths.append(file(tmp_path / directory, "7B.yml", f"{key}: 2\n"))
    assert set(read_entries(paths)) == {"num_layers", "train_iters"}


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("False", False),
        ("TRUE", True),
        ("0.97e-4", 0.97e-4),
        ("1.0e-8", 1e-8),
        ("6e-4", 6e-4),
        ("0.00001", 1e-5),
        ("50_000", "50_000"),
        ("tensorboard", "tensorboard"),
        ('"None"', "None"),
        ("None", "None"),
        ("null", None),
        ('"949,50,1"', "949,50,1"),
        (r'"\n"', "\n"),
        ("[0,1,2,4,]", [0, 1, 2, 4]),
        ('[[["flash"], 6]]', [[["flash"], 6]]),
        ('[[["local", "global"], "all"]]', [[["local", "global"], "all"]]),
    ],
)
def test_a_value_between_braces_with_a_comma_behind_it(text, value):
    found = values(f'{{\n  # a remark\n  "key": {text},  # another\n}}\n')["key"]
    assert found == value
    assert type(found) is type(value)


def test_mappings_end_in_commas():
    text = """{
      "optimizer": {
        "type": "Adam",
        "params": {
          "lr": 0.0006,
          "betas": [0.9, 0.95,],
        },
      },
    }"""
    assert values(text) == {"optimizer": {"type": "Adam", "params": {"lr": 0.0006, "betas": [0.9, 0.95]}}}


def test_a_set_is_a_mapping_to_null():
    assert values('{"comet_others": {"first", second},}') == {"comet_others": {"first": None, "second": None}}


def test_a_blank_at_the_end_of_an_inner_key_stays():
    text = '"autotuning": {"arg_mappings": {"gradient_accumulation_steps ": "--gradient_accumulation_steps"}}'
    assert values(text)["autotuning"]["arg_mappings"] == {
        "gradient_accumulation_steps ": "--gradient_accumulation_steps"
    }


# Files


def test_json_needs_no_name_of_its_own(tmp_path):
    text = '{\n  "num-layers": 2,\n  "fp16": {"enabled": true}\n}\n'
    found = [read_file(file(tmp_path, name, text)) for name in ("a.json", "b.yml", "c")]
    assert [[(e.key, e.value, e.origin.line) for e in entries] for entries in found] == [
        [("num_layers", 2, 2), ("fp16", {"enabled": True}, 3)]
    ] * 3


def test_json_may_have_no_blanks_at_all():
    assert values('{"num-layers":2,"fp16":{"enabled":true}}') == {"num_layers": 2, "fp16": {"enabled": True}}


def test_json_may_have_remarks_and_trailing_commas_like_yaml(tmp_path):
    path = file(tmp_path, "tune.json", '{\n\t# a remark\n\t"num-layers": 2,\n}\n')
    assert [(entry.key, entry.value) for entry in read_file(path)] == [("num_layers", 2)]


def test_a_tab_where_yaml_has_none_is_refused_with_its_line(tmp_path):
    path = file(tmp_path, "run.yml", '{\n\t"num-layers": 2,\n}\n')
    with pytest.raises(UserError, match=r"run\.yml:2: here is a tab"):
        read_file(path)


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"num-layers": 2,\n"norm": "rmsnorm"}\n',
        b'{"num-layers": 2,\r\n"norm": "rmsnorm"}\r\n',
        b'{"num-layers": 2,\n"norm": "rmsnorm"}',
    ],
    ids=["byte order mark", "lines end in CR LF", "no end of the last line"],
)
def test_editors_leave_their_traces(tmp_path, content):
    entries = read_file(file(tmp_path, "run.yml", content))
    assert [(e.key, e.value, e.origin.line, e.origin.text) for e in entries] == [
        ("num_layers", 2, 1, '{"num-layers": 2,'),
        ("norm", "rmsnorm", 2, '"norm": "rmsnorm"}'),
    ]


@pytest.mark.parametrize("content", ["", "{}", "# nothing\n", "{\n  # nothing\n}\n"])
def test_a_file_without_keys_adds_none(tmp_path, content):
    assert read_file(file(tmp_path, "run.yml", content)) == []


# What it all means


def test_whole_numbers_are_numbers():
    found = args('"hidden_dropout": 0, "attention_dropout": 0, "rotary_pct": 1, "weight_decay": 0')
    assert [found.hidden_dropout, found.attention_dropout, found.rotary_pct, found.weight_decay] == [0.0, 0.0, 1.0, 0.0]


def test_an_exponent_behind_an_underscore_is_read_with_a_notice():
    found = args('"optimizer": {"type": "Adam", "params": {"lr": 0.0006, "eps": 1.0e_8,}}')
    assert found.optimizer["params"]["eps"] == 1e-8
    assert [notice for notice in found.notices if "'1.0e_8'" in notice.message]


@pytest.mark.parametrize("path", ["/mock_path", "None"])
def test_a_host_file_is_whatever_text_is_given(path):
    assert args(f'"hostfile": "{path}"').hostfile == path


def test_fp16_within_fp16_means_nothing():
    found = args('"fp16": {"fp16": true, "enabled": true, "loss_scale": 0}')
    resolved = found.resolve(World.local(1, device="cuda"))
    assert resolved.precision == "fp16"
    assert resolved.deepspeed["fp16"] == {"enabled": True, "loss_scale": 0}


def test_fp16_within_fp16_switches_nothing_on():
    found = args('"fp16": {"fp16": true, "enabled": false}')
    assert found.resolve(World.local(1, device="cuda")).precision == "fp32"
