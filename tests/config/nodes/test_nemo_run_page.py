"""Every example of NeMo-Run's page on configuration, and the YAML that it gives for it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from neox_core import Config, Partial, Script, autoconvert, build, from_yaml, to_yaml

HERE = __name__


@dataclass
class Llama3Config8B:
    seq_length: int = 8192
    num_layers: int = 32


@dataclass
class LlamaModel:
    config: Llama3Config8B = field(default_factory=Llama3Config8B)


@dataclass
class SomeObject:
    a: int = 1
    b: SomeObject | None = None


def text(value: str) -> object:
    """YAML with the name of this module in it."""
    return yaml.safe_load(value.replace("HERE", HERE))


def model() -> Config[LlamaModel]:
    return Config(LlamaModel, config=Config(Llama3Config8B))


@autoconvert
def automodel() -> LlamaModel:
    return LlamaModel(config=Llama3Config8B())


def llama3_8b_model_conf(seq_len: int) -> Config[LlamaModel]:
    return Config(LlamaModel, config=Config(Llama3Config8B, seq_length=seq_len))


def test_a_function_that_returns_a_config_and_one_that_is_converted_are_equal():
    assert model() == automodel()


def test_a_partial_that_is_built_and_called_is_what_a_config_builds():
    partial = Partial(LlamaModel, config=Config(Llama3Config8B, seq_length=16384))
    config = Config(LlamaModel, config=Config(Llama3Config8B, seq_length=16384))
    assert build(partial)() == build(config) == LlamaModel(Llama3Config8B(seq_length=16384))


def test_a_function_with_any_code_may_return_a_config():
    assert build(llama3_8b_model_conf(seq_len=4096)).config.seq_length == 4096


def llama(seq_length):
    return text(
        f"""
        _target_: HERE.LlamaModel
        config:
            _target_: HERE.Llama3Config8B
            seq_length: {seq_length}
        """
    )


def test_a_config_is_this_yaml():
    config = llama3_8b_model_conf(16384)
    assert yaml.safe_load(to_yaml(config)) == llama(16384)
    assert from_yaml(to_yaml(config), allow=[HERE]) == config


def test_a_change_in_python_is_a_change_in_yaml():
    config = llama3_8b_model_conf(16384)
    config.config.seq_length *= 2
    assert yaml.safe_load(to_yaml(config)) == llama(32768)


def test_broadcast_and_then_walk_are_these_yamls():
    config = Config(SomeObject, a=5, b=Config(a=10))
    config.broadcast(a=20)
    assert yaml.safe_load(to_yaml(config)) == text(
        "{_target_: HERE.SomeObject, a: 20, b: {_target_: HERE.SomeObject, a: 20}}"
    )
    config.walk(a=lambda cfg: cfg.a * 2)
    assert yaml.safe_load(to_yaml(config)) == text(
        "{_target_: HERE.SomeObject, a: 40, b: {_target_: HERE.SomeObject, a: 40}}"
    )


def test_a_partial_says_so_in_yaml():
    partial = Partial(LlamaModel, config=Config(Llama3Config8B, seq_length=16384))
    assert yaml.safe_load(to_yaml(partial)) == {"_partial_": True, **llama(16384)}
    assert from_yaml(to_yaml(partial), allow=[HERE]) == partial


def test_a_config_without_a_target_where_none_is_known_says_so():
    with pytest.raises(Exception, match="has no target"):
        build(Config(a=10))


def run(script: Script, directory: Path) -> str:
    return subprocess.run(
        script.command(), cwd=directory, capture_output=True, text=True, check=True, timeout=20
    ).stdout


def test_scripts_by_path_and_inline_run(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "run_pretraining.sh").write_text('echo "training on ${DATA_PATH:-nothing}"\n')
    assert run(Script("./scripts/run_pretraining.sh"), tmp_path) == "training on nothing\n"
    inline = Script(
        inline="""
env
export DATA_PATH="/some/tmp/path"
bash ./scripts/run_pretraining.sh
"""
    )
    assert run(inline, tmp_path).endswith("training on /some/tmp/path\n")
    assert from_yaml(to_yaml(Config(Script, inline=inline.inline))) == Config(Script, inline=inline.inline)
