"""`neox config schema`."""

from __future__ import annotations

import json
import re

import pytest
from gpt_neox_tables import configs, examples
from json_schema import complaints

from neox_core.config.older import OLDER
from neox_core.config.ownership import Ownership
from neox_core.plugins import PluginManager, Switches


@pytest.fixture
def schema(neox):
    done = neox("config", "schema")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def accepts(schema, name):
    patterns = [pattern for pattern in schema["patternProperties"] if re.search(pattern, name)]
    return name in schema["properties"] or bool(patterns)


def test_every_key_is_described(schema):
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    for name in Ownership.of(PluginManager(Switches())).keys:
        assert schema["properties"][name]["description"]


def test_types_ranges_and_defaults_are_there(schema):
    keys = schema["properties"]
    assert keys["hidden_size"]["anyOf"][0]["type"] == "integer"
    assert keys["hidden_size"]["anyOf"][0]["exclusiveMinimum"] == 0
    assert "default" not in keys["hidden_size"]
    assert keys["precision"]["anyOf"][0]["anyOf"][0]["enum"] == ["fp32", "fp16", "bfloat16"]
    assert keys["norm"]["default"] == "layernorm"
    assert "stage" in keys["zero_optimization"]["anyOf"][0]["properties"]


def test_hyphens_and_earlier_names_are_accepted_and_others_are_not(schema):
    for name in ("hidden-size", "max-position_embeddings", "gas", "train_data_path", "zero_stage", *OLDER):
        assert accepts(schema, name), name
    assert not accepts(schema, "hiden_size")
    assert schema["properties"]["gas"]["deprecated"] is True
    assert schema["properties"]["adlr_autoresume"]["deprecated"] is True


def test_no_key_of_gpt_neox_is_refused(schema):
    refused = {key for table in configs().values() for key in table if not accepts(schema, key)}
    assert not refused


@pytest.mark.parametrize("tables", [configs, examples])
def test_the_files_of_gpt_neox_are_accepted(schema, tables):
    assert not [text for table in tables().values() for text in complaints(dict(table), schema, schema)]


@pytest.mark.parametrize(
    ("key", "accepted", "refused"),
    [
        ("hidden-size", 16, "x"),
        ("hidden_size", "320_000", 0),
        ("precision", "BFloat16", "fp61"),
        ("gas", 2, 0.5),
        ("checkpoint_factor", 1.5, 0),
        ("fp16", {"enabled": True}, {"enbled": True}),
        ("lr_decay_iters", None, "soon"),
        (
            "zero_optimization",
            {"stage": 1, "offload_optimizer": {"device": "cpu"}},
            {"stage": 1, "offload_optimizer": {"devise": "cpu"}},
        ),
    ],
)
def test_values_are_accepted_as_neox_accepts_them(schema, key, accepted, refused):
    assert not list(complaints({key: accepted}, schema, schema))
    assert list(complaints({key: refused}, schema, schema))


def test_an_unknown_key_is_refused(schema):
    assert list(complaints({"hiden_size": 16}, schema, schema)) == ["$.hiden_size: is not known"]


def test_every_line_of_a_description_is_a_sentence(schema):
    lines = [line for part in schema["properties"].values() for line in part.get("description", "").split("\n")[1:]]
    assert {line.split()[0] for line in lines} <= {"Owner:", "Key", "Changes", "It", "Not"}
    assert {" ".join(line.split()[:3]).rstrip(":") for line in lines if line.startswith("It ")} == {
        "It has no",
        "It is not",
    }


def test_references_lead_somewhere(schema):
    parts = [*schema["properties"].values(), *schema["patternProperties"].values()]
    named = {part["$ref"].removeprefix("#/properties/") for part in parts if "$ref" in part}
    assert named <= set(schema["properties"])


def test_it_is_written_to_a_file(neox):
    assert neox("config", "schema", "--output", "schema.json").code == 0
    assert json.loads((neox.directory / "schema.json").read_text())["type"] == "object"


def offered(part):
    """All words that a part of a schema offers."""
    if isinstance(part, dict):
        return {*part.get("enum", ()), *offered(list(part.values()))}
    return set().union(*map(offered, part)) if isinstance(part, list) else set()


@pytest.mark.parametrize(
    ("key", "name", "others"),
    [
        ("activation", "gelu", ["GELU", "acme-neox/ring"]),
        ("attention_config", "global", [["Global", "ring"], [[["ring", "global"], "all"]], [[["global"], 2]], None]),
        ("launcher", "local", ["slurm"]),
        ("loggers", "console", [["console", "paper"], None]),
        ("lr_decay_style", "cosine", ["stairs"]),
        ("moe_type", "torch", ["megablocks"]),
        ("norm", "rmsnorm", ["RMSNorm"]),
        ("optimizer", "adamw", [{"type": "AdamW", "params": {"lr": 0.1}}, {"type": "lion"}]),
        ("pos_emb", "rotary", ["alibi"]),
        ("train_impl", "normal", ["dpo"]),
    ],
)
def test_names_of_components_are_offered_and_others_are_valid_too(schema, key, name, others):
    assert name in offered(schema["properties"][key])
    for value in others:
        assert not list(complaints({key: value}, schema, schema)), value
    assert list(complaints({key: 3}, schema, schema))


def test_names_that_this_version_lacks_are_described(schema):
    assert "Not here yet: dpo, kto, " in schema["properties"]["train_impl"]["description"]
    assert "Not here yet" not in schema["properties"]["lr_decay_style"]["description"]
