"""Reading configuration files: lines, duplicates, numbers, and what is no configuration at all."""

from __future__ import annotations

import math

import pytest

from neox_core.config import NeoXArgs, read_entries, read_file, read_text
from neox_core.errors import SettingsError, UserError


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
        ("- num_layers\n", "run.yml:1: expected lines `key: value`, found a sequence"),
        ("\nnum_layers\n", "run.yml:2: expected lines `key: value`, found a scalar"),
        ("a: [1,\n", "run.yml:2: not valid YAML: "),
        ("a: 1\n b: 2\n", "run.yml:2: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "run.yml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("1: a\n", "run.yml:1: the key 1 is not a word"),
        ("? [a, b]\n: c\n", "run.yml:1: the key ['a', 'b'] is not a word"),
        ("a: {[x]: 1}\n", "run.yml:1: not valid YAML: found unhashable key"),
        ("a: 1\n---\nb: 2\n", "run.yml:2: not valid YAML: but found another document"),
        ("a: !!python/name:os.system\n", "run.yml:1: not valid YAML: could not determine a constructor"),
        ("\na: !!int b\n", "run.yml:2: not valid YAML: 'b' is not a whole number"),
        (f"a: {'9' * 5000}\n", "run.yml:1: not valid YAML: '9999"),
        ("a: \x00\n", "run.yml: not valid YAML: unacceptable character #x0000"),
        ("fp16:\n  enabled: true\n  enabled: false\n", "the key 'enabled' is there twice, on lines 2 and 3"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(text, message):
    with pytest.raises(UserError) as caught:
        read_text(text, "run.yml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


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
        "run.yml:3: num_layers: is given twice, in run.yml:1 (2) and run.yml:3 (4) (remove one)",
        "run.yml:4: norm: is given twice, in run.yml:2 ('rmsnorm') and run.yml:4 ('layernorm') (remove one)",
    ]


def read_and_merge(text: str):
    from neox_core.config.loading import merge

    return merge([read_text(text, "run.yml")])


def test_a_key_in_two_files_names_both_in_either_spelling(tmp_path):
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    one.write_text("num-layers: 2\n")
    two.write_text("seq_length: 8\nnum_layers: 2\n")
    with pytest.raises(SettingsError, match=r"num_layers: is given twice, in .*one.yml:1 \(2\) and .*two.yml:2 \(2\)"):
        read_entries([one, two])


def test_several_files_are_one_configuration(tmp_path):
    one, two = tmp_path / "one.yml", tmp_path / "two.json"
    one.write_text("num_layers: 2\n")
    two.write_text('{"seq_length": 8}')
    assert {key: entry.value for key, entry in read_entries([one, two]).items()} == {"num_layers": 2, "seq_length": 8}


def test_a_dictionary_is_checked_for_duplicates_too():
    with pytest.raises(SettingsError, match="num_layers: is given twice, in dictionary"):
        NeoXArgs.from_dict({"num-layers": 1, "num_layers": 2})


def overridden(*overrides: str, **given) -> dict:
    from neox_core.config.loading import apply_override

    entries = {entry.key: entry for entry in read_text("\n".join(f"{k}: {v}" for k, v in given.items()), "run.yml")}
    for override in overrides:
        apply_override(entries, override)
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
        ("fp16={a: ", "the value is not valid YAML"),
        ("fp16=!!python/name:os.system x", "the value is not valid YAML"),
        ("num_layers.x=1", "'x' cannot be set within 2, which is not a mapping"),
    ],
)
def test_malformed_overrides_are_quoted(override, message):
    with pytest.raises(UserError) as caught:
        overridden(override, num_layers=2)
    assert str(caught.value).startswith(f"'{override}': ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_origin_of_an_override_is_its_text(tmp_path):
    file = tmp_path / "run.yml"
    file.write_text("num_layers: 2\n")
    assert str(read_entries([file], ["num_layers=x"])["num_layers"].origin) == "command line (num_layers=x)"
