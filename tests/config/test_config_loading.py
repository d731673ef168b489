"""Reading configuration files: lines, duplicates, numbers, and what is no configuration at all."""

from __future__ import annotations

import itertools
import json
import math
import os
import threading
import time

import pytest

from neox_core.config import NeoXArgs, read_entries, read_text
from neox_core.config.command_line import files_and_overrides
from neox_core.config.loading import read_file
from neox_core.config.overrides import Override
from neox_core.config.yaml_text import dump_settings
from neox_core.errors import Origin, SettingsError, UserError


def values(text: str) -> dict:
    return {entry.key: entry.value for entry in read_text(text, "run.yml")}


def test_each_entry_knows_its_line():
    entries = read_text("# a run\nnum_layers: 2\n\nfp16:\n  enabled: true\nnorm: rmsnorm\n", "run.yml")
    assert [(e.key, str(e.origin), e.origin.text) for e in entries] == [
        ("num_layers", "run.yml:2", "num_layers: 2"),
        ("fp16", "run.yml:4", "fp16:"),
        ("norm", "run.yml:6", "norm: rmsnorm"),
    ]


def test_hyphens_are_underscores_in_keys_and_nowhere_else():
    assert values("num-layers: 2\nfp16: {loss-scale: 0}\n") == {"num_layers": 2, "fp16": {"loss-scale": 0}}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("6.0e-4", 6e-4),
        ("0.97e-4", 0.97e-4),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1e+2", -100.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("12", 12),
        ("0", 0),
        ("010", 10),
        ("-08", -8),
        ("0x1F", 31),
        ("0o17", 15),
        ("010.50", 10.5),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text, number):
    found = values(f"lr: {text}")["lr"]
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(
    "text", ["1.0e_8", "e5", "1e", "2024-01-01", "1.2.3", "'1e-5'", "1:30", "1:30.5", "1_000", "0b11", "-0x1"]
)
def test_what_is_no_number_is_text(text):
    assert values(f"lr: {text}")["lr"] == text.strip("'")


def test_booleans_are_those_of_yaml_1_1():
    assert values("a: yes\nb: Off\nc: true\nd: 'no'\n") == {"a": True, "b": False, "c": True, "d": "no"}


def test_python_spelling_of_booleans_and_trailing_commas_are_read():
    assert values("{'fp16': {'enabled': True,}, no_weight_tying: False,}") == {
        "fp16": {"enabled": True},
        "no_weight_tying": False,
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n", "---\n"])
def test_an_empty_file_has_no_entries(text):
    assert read_text(text, "run.yml") == []


def test_json_is_read_with_tabs_too(tmp_path):
    file = tmp_path / "run.json"
    file.write_text('{\n\t"num_layers": 2,\n\t"optimizer": {\n\t\t"type": "Adam"\n\t}\n}\n')
    assert [(e.key, e.value, e.origin.line) for e in read_file(file)] == [
        ("num_layers", 2, 2),
        ("optimizer", {"type": "Adam"}, 3),
    ]


def test_a_value_may_repeat_another_one_with_changes():
    found = values("fp16: &shared {enabled: true, loss_scale: 0}\nbf16: {<<: *shared, enabled: false}\n")
    assert found["bf16"] == {"enabled": False, "loss_scale": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- num_layers\n", "run.yml:1: a file is lines `key: value`, and this is a list (write `key: value`)"),
        ("\nnum_layers\n", "run.yml:2: a file is lines `key: value`, and this is plain text"),
        ("a: [1,\n", "run.yml:1: the '[' that begins here is not closed (add ']' at its end)"),
        ("a: 1\nb: {c: [1, 2]\nd: 2\n", "run.yml:2: the '{' that begins here is not closed (add '}' at its end)"),
        ("a: [1 b: 2}\n", "run.yml:1: here a ',' is missing, or the ']' of '[' (add ',' or ']')"),
        ("a: 1]\nb: ]\n", "run.yml:2: this ']' closes nothing (remove it, or put the value into quotes)"),
        ("a: 'b\nc: d\n", "run.yml:1: the quote that begins here is not closed (add a quote at its end)"),
        ("a: 1\nb 2\nc: 3\n", "run.yml:2: there is no ': ' in this line (write `b: 2`)"),
        ("b=2\n# nothing\nc: 3\n", "run.yml:1: there is no ': ' in this line (write `b: 2`)"),
        ("a: b: c\n", "run.yml:1: there is a second ': ' in this line (put a value with a colon into quotes)"),
        ("a: 1\n b: 2\n", "run.yml:2: this line is indented more than the key above, which has a value already (begin"),
        ("a:\n  b: 1\n c: 2\n", "run.yml:3: this does not fit what is above (begin the keys"),
        (" a: 1\nb: 2\n", "run.yml:2: this does not fit what is above (begin the keys"),
        ("a: 1\n\tb: 2\n", "run.yml:2: here is a tab, which YAML does not allow (use spaces)"),
        ("a: @x\n", "run.yml:1: a value cannot begin with '@' (put it into quotes)"),
        ("a: *x\n", "run.yml:1: '*x' stands for nothing: there is no '&x' above (write the value itself)"),
        ("a: &x 1\nb: &x 2\n", "run.yml:2: '&x' is there twice (choose another name)"),
        ("a: &x [*x]\n", "run.yml:1: '*x' is within what it stands for (write the value itself)"),
        ("<<: 3\n", "run.yml:1: '<<' takes a mapping"),
        ('a: "\\q"\n', "run.yml:1: not valid YAML: found unknown escape character 'q' (put text"),
        ("a: !!float x\n", "run.yml:1: 'x' is not a number (leave out the tag"),
        ("a: !!bool x\n", "run.yml:1: 'x' is neither true nor false (leave out the tag"),
        ('{"a": 1,, "b": 2}\n', "run.yml:1: here a ',' is too many (remove it)"),
        ('{"a": 1, // one\n"b": 2}\n', "run.yml:1: '//' begins no comment here (write '#')"),
        ("a=1\n", "and this is plain text (write `a: 1`)"),
        ("a:\t1\n", "run.yml:1: here is a tab, which YAML does not allow (use spaces)"),
        ("a: !!timestamp 2024-01-01\n", "run.yml:1: '!!timestamp' is not known (write the value without it)"),
        ("1: a\n", "run.yml:1: the key 1 is not a word"),
        ("? [a, b]\n: c\n", "run.yml:1: the key ['a', 'b'] is not a word"),
        ("a: {[x]: 1}\n", "run.yml:1: a list or a mapping cannot be a key"),
        ("a: 1\n---\nb: 2\n", "run.yml:2: a second document begins here (remove the line `---`, or write two files)"),
        (
            "a: !!python/name:os.system\n",
            "run.yml:1: '!!python/name:os.system' is not known (write the value without it)",
        ),
        ("\na: !!int b\n", "run.yml:2: 'b' is not a whole number"),
        (f"a: {'9' * 5000}\n", "run.yml:1: '9999"),
        ("b: 1\na: \x00\n", "run.yml:2: the character with the code 0x00 is not allowed (delete it)"),
        ("fp16:\n  enabled: true\n  enabled: false\n", "run.yml:3: the key 'enabled' is given twice (remove one)"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(text, message):
    with pytest.raises(UserError) as caught:
        read_text(text, "run.yml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def problem_of(text: str):
    with pytest.raises(SettingsError) as caught:
        read_text(text, "run.yml")
    return caught.value.problems[0]


def test_what_is_wrong_with_a_text_is_marked():
    problem = problem_of("a: 1\nb: [1, 2\nc: 3\n")
    assert problem.origin.text == "b: [1, 2"
    assert (problem.origin.key_start, problem.origin.key_end) == (3, 4)
    again = problem_of("fp16: {enabled: true,\n  enabled: false}\n")
    assert [str(origin) for origin in (again.origin, *again.others)] == ["run.yml:2", "run.yml:1"]
    assert again.others[0].text[again.others[0].key_start : again.others[0].key_end] == "enabled"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("b: 1\na: " + "[" * 3000, 2),
        ("a: " + "{a: " * 3000, 1),
        ("a:\n" + "".join(" " * level + "- \n" for level in range(1, 200)), 51),
        ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000)), 49),
    ],
)
def test_deep_nesting_is_a_mistake_with_a_line(text, line):
    problem = problem_of(text)
    assert "nested more than 50 deep" in problem.message
    assert problem.origin.line == line


def test_aliases_of_aliases_are_counted_and_not_written_out():
    names = "abcdefghijklmnop"
    bomb = f"a: &a [{'x, ' * 9}x]\n" + "".join(
        f"{name}: &{name} [{f'*{before}, ' * 9}*{before}]\n" for before, name in itertools.pairwise(names)
    )
    begun = time.process_time()
    problem = problem_of(bomb)
    assert "stand for more than 100000 values" in problem.message
    assert problem.origin.line < 7
    assert time.process_time() - begun < 0.5
    shared = "fp16: &x {enabled: true}\n" + "".join(f"k{number}: *x\n" for number in range(1000))
    assert len(read_text(shared, "run.yml")) == 1001


def test_overrides_are_no_deeper_than_files():
    for override in ("a=" + "[" * 3000, "a" + ".a" * 3000 + "=1"):
        with pytest.raises(UserError, match="more than 50") as caught:
            overridden(override)
        assert len(str(caught.value)) < 400


def test_a_file_may_be_merged_from_others_parts():
    text = "base: &base\n  num-layers: 2\n  norm: rmsnorm\n<<: [*base, {seed: 3, norm: x}]\nnum_layers: 4\n"
    entries = {entry.key: entry for entry in read_text(text, "run.yml")}
    assert {key: entry.value for key, entry in entries.items() if key != "base"} == {
        "num_layers": 4,
        "norm": "rmsnorm",
        "seed": 3,
    }
    assert {key: entry.origin.line for key, entry in entries.items()} == {
        "base": 1,
        "num_layers": 5,
        "norm": 3,
        "seed": 4,
    }


def test_what_was_merged_into_two_places_is_no_duplicate():
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, y: 3}\n<<: *b\n"
    assert values(text) == {"x": 1, "y": 2, "a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("  num-layers: 2  # two", "num-layers", "2"),
        ('{"norm": "rmsnorm"}', '"norm"', '"rmsnorm"'),
        ("norm : [a,\n  b]", "norm", "[a,"),
        ("norm:\n  a: b", "norm", None),
    ],
)
def test_each_entry_knows_the_columns_of_key_and_value(text, key, value):
    origin = read_text(text, "run.yml")[0].origin
    assert origin.text[origin.key_start : origin.key_end] == key
    assert (None if origin.value_start is None else origin.text[origin.value_start : origin.value_end]) == value


def test_an_origin_survives_json():
    origin = read_text("norm: rmsnorm", "run.yml")[0].origin
    assert Origin(**json.loads(json.dumps(origin._asdict()))) == origin


def test_a_pipe_is_read_like_a_file(tmp_path):
    pipe = tmp_path / "settings"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("num_layers: 2\n",))
    writer.start()
    files, overrides = files_and_overrides([str(pipe), "seed=3"])
    assert [entry.value for entry in read_file(files[0])] == [2]
    assert overrides == ["seed=3"]
    writer.join()


def test_settings_are_written_with_their_defaults_as_comments():
    text = dump_settings({"norm": "1e5", "bias": True, "fp16": {"enabled": True}}, {"norm", "fp16"})
    assert values(text) == {"norm": "1e5", "fp16": {"enabled": True}}
    assert "\n# bias: true\n" in text


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent.yml: cannot be read: No such file or directory; give the path"):
        read_file(tmp_path / "absent.yml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_file(tmp_path)


def test_other_encodings_are_refused(tmp_path):
    file = tmp_path / "latin.yml"
    file.write_bytes("run_name: café\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin.yml: is not text in UTF-8: .* at byte 13; save it as UTF-8"):
        read_file(file)


@pytest.mark.parametrize("spelling", ["num_layers", "num-layers"])
def test_a_key_twice_in_one_file_names_both_lines(spelling):
    with pytest.raises(SettingsError) as caught:
        read_and_merge("num_layers: 2\nnorm: rmsnorm\n" + spelling + ": 4\nnorm: layernorm\n")
    assert [str(problem) for problem in caught.value.problems] == [
        "run.yml:3: num_layers: is given twice, first in run.yml:1 (remove one)",
        "run.yml:4: norm: is given twice, first in run.yml:2 (remove one)",
    ]


def read_and_merge(text: str):
    from neox_core.config.entry import merge

    return merge([read_text(text, "run.yml")])


def test_a_key_in_two_files_names_both_in_either_spelling(tmp_path):
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    one.write_text("num-layers: 2\n")
    two.write_text("seq_length: 8\nnum_layers: 2\n")
    with pytest.raises(SettingsError, match=r"two.yml:2: num_layers: is given twice, first in .*one.yml:1"):
        read_entries([one, two])


def test_several_files_are_one_configuration(tmp_path):
    one, two = tmp_path / "one.yml", tmp_path / "two.json"
    one.write_text("num_layers: 2\n")
    two.write_text('{"seq_length": 8}')
    assert {key: entry.value for key, entry in read_entries([one, two]).items()} == {"num_layers": 2, "seq_length": 8}


def test_a_dictionary_is_checked_for_duplicates_too():
    with pytest.raises(SettingsError, match="num_layers: is given twice, first in dictionary"):
        NeoXArgs.from_dict({"num-layers": 1, "num_layers": 2})


def overridden(*overrides: str, **given) -> dict:
    entries = {entry.key: entry for entry in read_text("\n".join(f"{k}: {v}" for k, v in given.items()), "run.yml")}
    for override in overrides:
        Override.parse(override).apply(entries)
    return {key: entry.value for key, entry in entries.items()}


def test_overrides_apply_from_left_to_right():
    assert overridden("num_layers=4", "num-layers=6", num_layers=2) == {"num_layers": 6}
    assert overridden("fp16.enabled=false", "fp16={}", fp16="{enabled: true}") == {"fp16": {}}
    assert overridden("fp16={}", "fp16.enabled=false", fp16="{enabled: true}") == {"fp16": {"enabled": False}}


def test_overrides_are_yaml_and_reach_into_mappings():
    found = overridden("optimizer.params.lr=1e-3", "optimizer.params.betas=[0.9, 0.95]", "load=", "split=1=2")
    assert found == {
        "optimizer": {"params": {"lr": 0.001, "betas": [0.9, 0.95]}},
        "load": None,
        "split": "1=2",
    }


def test_an_override_leaves_the_rest_of_a_mapping_alone():
    given = {"optimizer": "{type: adam, params: {lr: 1, eps: 2}}"}
    assert overridden("optimizer.params.lr=3", **given) == {
        "optimizer": {"type": "adam", "params": {"lr": 3, "eps": 2}}
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_layers", "neither a file nor an override; an override is written key=value"),
        ("=4", "neither a file nor an override"),
        ("fp16={a: ", "in the value: the '{' that begins here is not closed; add '}' at its end"),
        ("fp16=!!python/name:os.system x", "in the value: '!!python/name:os.system' is not known"),
    ],
)
def test_malformed_overrides_are_quoted(override, message):
    with pytest.raises(UserError) as caught:
        overridden(override, num_layers=2)
    assert str(caught.value).startswith(f"'{override}': ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_part_of_what_is_no_mapping_cannot_be_set():
    with pytest.raises(SettingsError) as caught:
        overridden("num_layers.x=1", num_layers=2)
    assert str(caught.value) == (
        "command line (num_layers.x=1): num_layers: 'x' cannot be set within 2, which is not a mapping "
        "(num_layers=VALUE sets the whole value)"
    )


def test_an_override_of_a_part_leaves_the_other_parts_their_places():
    (entry,) = read_text("optimizer:\n  type: adam\n  params: {lr: 1, eps: 2}\n", "run.yml")
    entries = {"optimizer": entry}
    Override.parse("optimizer.params={lr: 3}").apply(entries)
    Override.parse("optimizer.params.lr=4").apply(entries)
    found = entries["optimizer"]
    assert str(found.origin) == "run.yml:1"
    places = {path: str(origin) for path, origin in found.inner.items()}
    assert places == {
        "type": "run.yml:2",
        "params": "command line (optimizer.params={lr: 3})",
        "params.lr": "command line (optimizer.params.lr=4)",
    }


def test_the_origin_of_an_override_is_its_text(tmp_path):
    file = tmp_path / "run.yml"
    file.write_text("num_layers: 2\n")
    assert str(read_entries([file], ["num_layers=x"])["num_layers"].origin) == "command line (num_layers=x)"
