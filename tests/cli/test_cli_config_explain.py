"""`neox config explain`."""

from __future__ import annotations

import pytest

from neox_core.cli.config.explain import page
from neox_core.cli.config.known import find_known
from neox_core.cli.config.named import KINDS
from neox_core.config.derived import DERIVED
from neox_core.config.ownership import Ownership
from neox_core.plugins import PluginManager, Switches
from neox_core.training.gpt_neox_names import GPT_NEOX_NAMES


def facts(done):
    """Label -> text of the page."""
    assert done.code == 0, done.err
    return {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in done.out.splitlines()[1:]}


def test_a_key_is_explained_without_files(neox):
    done = neox("config", "explain", "hidden-size")
    assert done.out.startswith("hidden_size: Width of the residual stream\n")
    page = facts(done)
    assert page["takes"] == "a whole number > 0"
    assert page["default"] == "must be given"
    assert page["whose key"] == "Megatron"
    assert page["changes"].startswith("numerics")
    assert page["checkpoint"] == "it must be the same there"
    assert page["group"].startswith("model, of the core")


def test_with_files_value_and_place_are_told(neox):
    page = facts(neox("config", "explain", "hidden_size", "tiny.yml"))
    assert (page["value"], page["set in"]) == ("16", "tiny.yml:2")
    page = facts(neox("config", "explain", "hidden_size", "tiny.yml", "hidden_size=32"))
    assert page["set in"] == "command line (hidden_size=32)"
    page = facts(neox("config", "explain", "train_micro_batch_size_per_gpu", "tiny.yml", "--world-size=2"))
    assert (page["value"], page["comes to"]) == ("null", "2")
    assert page["set in"].startswith("nowhere")


@pytest.mark.parametrize(
    ("name", "label", "text"),
    [
        ("gas", "gas", "is called gradient_accumulation_steps today"),
        ("train_data_path", "train_data_path", "is a list with one path, train_data_paths"),
        ("zero_stage", "value", "0"),
        ("zero_stage", "computed from", "zero_optimization.stage"),
        ("geglu", "today", "activation: geglu"),
        ("adlr_autoresume", "effect", "has no effect: "),
        ("wandb_team", "group", "neox-toolkit"),
        ("optimizer.params.lr", "comes to", "0.001"),
        ("optimizer.params.betas", "option of", "optimizer adam"),
        ("zero_optimization.stage", "known to", "DeepSpeed"),
        ("checkpoint_factor", "earlier names", "save_interval"),
        ("valid_label_data_paths", "earlier names", "valid_label_data_path, label_data_paths"),
        ("temperature", "earlier names", "greedy"),
    ],
)
def test_names_of_every_sort_are_explained(neox, name, label, text):
    assert text in facts(neox("config", "explain", name, "tiny.yml"))[label]


def test_what_exists_only_while_a_program_runs_says_so(neox):
    assert "in a file it has no effect" in neox("config", "explain", "tensorboard_writer").out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hiden_size", "did you mean 'hidden_size'?"),
        ("zero_optimization.stge", "did you mean 'stage'?"),
        ("optimizer.params.beta", "did you mean 'betas'?"),
        ("nothing_like_it.at_all", "there is no such setting"),
        ("seed.x", "seed is a whole number > 0 and <= 4294967295, which has no parts"),
        ("optimizer.parms.lr", "optimizer has no part 'parms'; did you mean 'params'?"),
        ("optimizer.type.x", "optimizer.type is a name"),
        ("tiny.yml", "tiny.yml is a file; the key comes first: `neox config explain KEY tiny.yml`"),
    ],
)
def test_what_is_not_known_is_a_mistake(neox, name, text):
    done = neox("config", "explain", name, "tiny.yml")
    assert (done.code, done.out) == (2, "")
    assert text in done.err


def test_a_key_must_be_named(neox):
    assert neox("config", "explain").code == 2


def test_every_key_can_be_explained():
    plugins = PluginManager(Switches())
    ownership = Ownership.of(plugins)
    for name in ownership.keys:
        lines = page(find_known(name, ownership), ownership, plugins, None)
        assert {"takes", "default", "group", "whose key", "changes", "checkpoint"} <= {label for label, _ in lines}
        assert not [text for _, text in lines if not text or "\n" in text]


def test_a_part_of_a_configuration_tells_what_it_says(neox):
    neox.write("part.yml", "gas: 2\noptimizer: {type: adam, params: {lr: 0.1}}\n")
    page = facts(neox("config", "explain", "gradient_accumulation_steps", "part.yml"))
    assert (page["value"], page["set in"]) == ("2", "part.yml:1")
    assert page["comes to"].startswith("unknown: keys that must be given are missing")
    page = facts(neox("config", "explain", "optimizer.params.lr", "part.yml"))
    assert (page["value"], page["set in"]) == ("0.1", "part.yml:2")
    assert facts(neox("config", "explain", "hidden_size", "part.yml"))["value"] == "not given"
    neox.write("part.yml", "seed: big\n")
    assert neox("config", "explain", "seed", "part.yml").code == 2


@pytest.mark.parametrize("verb", [["check"], ["show"], ["explain", "seed"]])
def test_runs_and_checkpoints_stand_for_their_settings(neox, verb):
    neox.write("runs/now/resolved.yml", seed="1")
    neox.write("saved/global_step3/settings.yml", seed="2")
    neox.write("saved/latest", "global_step3\n")
    for word in ("runs/now", "saved", "saved/global_step3"):
        assert neox("config", *verb, word).code == 0
    done = neox("config", *verb, "runs")
    assert done.code == 2
    assert "is a directory, and neither that of a run" in done.err


def test_options_of_an_optimizer_may_have_computed_defaults_or_none(neox):
    neox.write(
        "quantum.py",
        "from pydantic import BaseModel, Field\n"
        "from neox_core.plugins import Optimizer\n"
        "class Options(BaseModel):\n"
        "    lr: float\n"
        "    qubits: int\n"
        "    gates: tuple[str, ...] = Field(default_factory=lambda: ('x', 'h'))\n"
        "def neox_components():\n"
        "    return [Optimizer(name='quantum', summary='s', factory='quantum:build', params='quantum:Options')]\n",
    )

    def explained(place, options="{lr: 0.1, qubits: 2}"):
        words = ("config", "explain", place, "tiny.yml", f"optimizer={{type: quantum, params: {options}}}")
        return facts(neox("-p", "quantum.py", *words))

    assert explained("optimizer.params")["comes to"] == "{gates: [x, h], lr: 0.1, qubits: 2}"
    assert explained("optimizer.params.gates", "{lr: 0.1, qubits: 2, gates: [y]}")["default"] == "[x, h]"
    assert explained("optimizer.params.qubits")["default"] == "must be given"
    assert explained("optimizer.params", "{lr: 0.1}")["comes to"] == "{gates: [x, h], lr: 0.1}"


@pytest.mark.parametrize(
    ("key", "here", "not_yet"),
    [
        ("activation", "gelu", None),
        ("attention_config", "flash", None),
        ("launcher", "local", "slurm"),
        ("lr_decay_style", "cosine", None),
        ("loggers", "console", None),
        ("moe_type", "torch", "megablocks"),
        ("norm", "rmsnorm", None),
        ("optimizer.type", "lion", None),
        ("pos_emb", "rotary", None),
        ("train_impl", "normal", "dpo"),
    ],
)
def test_what_names_a_component_lists_the_names(neox, key, here, not_yet):
    page = facts(neox("config", "explain", key))
    assert here in page["names here"].split(", ")
    assert page.get("takes") != "text"
    assert not_yet is None or not_yet in page["not here yet"].split(", ")
    assert not set(page["names here"].split(", ")) & set(page.get("not here yet", "").split(", "))


def test_names_of_components_are_those_of_the_plugins_in_use(neox):
    words = ("config", "explain", "optimizer.type", "tiny.yml")
    assert "cpu_torch_adam" in facts(neox(*words))["names here"]
    assert "names here" not in facts(neox(*words, "plugin_disable=[neox-toolkit:optimizers]"))


def test_every_kind_of_component_that_gpt_neox_has_is_named_by_a_key():
    assert set(KINDS.values()) == {*GPT_NEOX_NAMES, "logger"}


def test_a_part_that_is_a_key_today_is_explained_as_that(neox):
    page = facts(neox("config", "explain", "optimizer.params.max_grad_norm", "tiny.yml", "gradient_clipping=0.3"))
    assert page["optimizer.params.max_grad_norm"] == "means gradient_clipping"
    assert page["value"] == "0.3"
    assert "max_grad_norm" in facts(neox("config", "explain", "gradient_clipping"))["earlier names"]


def test_computed_values_name_the_keys_that_they_are_computed_from(neox):
    keys = {*Ownership.of(PluginManager(Switches())).keys, "all keys"}
    for name, derived in DERIVED.items():
        first = derived.source.partition(",")[0].partition(" and ")[0].partition(" or ")[0]
        assert first in keys or first.partition(".")[0] in keys, name
    done = neox("config", "check", "tiny.yml", "batch_size=2")
    assert "batch_size: is computed from train_micro_batch_size_per_gpu, train_batch_size and gradient_acc" in done.err


def test_what_lies_deep_in_a_dictionary_of_deepspeed_s_is_known(neox):
    found = neox("config", "explain", "zero_optimization.offload_optimizer.device").out
    assert "takes       one of none, cpu, nvme\n" in found
    done = neox("config", "explain", "zero_optimization.offload_optimizer.devise")
    assert (done.code, "did you mean 'device'?" in done.err) == (2, True)
