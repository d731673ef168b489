"""`neox config schema`."""

from __future__ import annotations

import json
import re

import pytest
from gpt_neox_tables import configs

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
    assert keys["hidden_size"]["type"] == "integer"
    assert keys["hidden_size"]["exclusiveMinimum"] == 0
    assert "default" not in keys["hidden_size"]
    assert keys["precision"]["anyOf"][0]["enum"] == ["fp32", "fp16", "bfloat16"]
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


def test_a_validator_agrees(schema):
    jsonschema = pytest.importorskip("jsonschema", reason="no validator of JSON Schema is installed")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert not list(validator.iter_errors({"hidden-size": 16, "gas": 2}))
    assert list(validator.iter_errors({"hidden-size": "x"}))
    assert list(validator.iter_errors({"hiden_size": 16}))


def test_references_lead_somewhere(schema):
    parts = [*schema["properties"].values(), *schema["patternProperties"].values()]
    named = {part["$ref"].removeprefix("#/properties/") for part in parts if "$ref" in part}
    assert named <= set(schema["properties"])


def test_it_is_written_to_a_file(neox):
    assert neox("config", "schema", "--output", "schema.json").code == 0
    assert json.loads((neox.directory / "schema.json").read_text())["type"] == "object"
