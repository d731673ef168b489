"""GPT-NeoX's defects: the table, and what `compat: gpt-neox` brings back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_settings import MODEL

import neox_core
from neox_core.config import NeoXArgs, World, read_text
from neox_core.config.compatibility import DEFECTS, reproduces
from neox_core.config.entries import read_entries
from neox_core.config.entry import merge
from neox_core.errors import SettingsError

ROOT = Path(neox_core.__file__).parents[1]
RUN = {**MODEL, "data_path": "data/tokens"}


def args(compat: str | None, **changes) -> NeoXArgs:
    return NeoXArgs.from_dict({**RUN, **changes, "compat": compat})


def asked_for() -> set[str]:
    """Names of defects that the sources ask for."""
    text = "".join(
        path.read_text()
        for folder in ("neox_core", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "compatibility.py"
    )
    return set(re.findall(r'reproduces\((?:[^"]*, )?"([a-z0-9-]+)"\)', text))


def test_every_switch_acts_somewhere_and_nothing_else_is_asked_for():
    acting = {name for name, defect in DEFECTS.items() if defect.switch is not None and not defect.pending}
    assert asked_for() == acting


def test_each_defect_says_what_neox_does():
    for name, defect in DEFECTS.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        for text in (defect.upstream, defect.ours, defect.switch or "-"):
            assert text
            assert not text.endswith(".")


def test_nothing_comes_back_without_the_switch():
    assert not any(reproduces(None, name) for name in DEFECTS)
    with pytest.raises(KeyError):
        reproduces(None, "no-such-defect")


def test_clipping_of_1_is_left_out_only_with_it():
    assert args(None).resolve().deepspeed["gradient_clipping"] == 1.0
    assert "gradient_clipping" not in args("gpt-neox").resolve().deepspeed
    assert args("gpt-neox", gradient_clipping=0.5).resolve().deepspeed["gradient_clipping"] == 0.5


def test_a_misspelt_precision_is_fp32_only_with_it():
    with pytest.raises(SettingsError, match=r"'BF16' is not one of .*did you mean 'bfloat16'"):
        args(None, precision="BF16")
    tolerant = args("gpt-neox", precision="BF16")
    assert tolerant.resolve().precision == "fp32"
    assert "'BF16' is fp32" in str(tolerant.notices[0])


def test_bfloat16_in_the_fp16_dictionary_is_forgotten_only_with_it():
    fp16 = {"enabled": True, "type": "bfloat16", "loss_scale": 0}
    ours, theirs = (args(compat, fp16=fp16) for compat in (None, "gpt-neox"))
    assert [str(notice) for notice in ours.notices] == [
        "dictionary: fp16: type: bfloat16 is read as precision: bfloat16"
    ]
    assert (ours.resolve().precision, theirs.resolve().precision) == ("bf16", "fp16")
    assert theirs.deepspeed_config["fp16"] == {"enabled": True, "loss_scale": 0}
    assert args(None, fp16={**fp16, "enabled": False}).resolve().precision == "fp32"


def test_extra_arguments_win_only_with_it():
    extra = {"train_batch_size": 8, "bf16": {"enabled": True}, "comms_logger": {"enabled": True}}
    with pytest.raises(SettingsError, match="train_batch_size: has a key of its own"):
        args(None, deepspeed_extra_args=extra).resolve()
    theirs = args("gpt-neox", deepspeed_extra_args=extra, train_batch_size=4)
    resolved = theirs.resolve()
    assert (resolved.batch.total, resolved.deepspeed["train_batch_size"], resolved.precision) == (8, 8, "bf16")
    assert resolved.deepspeed["comms_logger"] == {"enabled": True}
    assert "train_batch_size is taken from here, whatever else says it" in str(theirs.notices[0])


def test_extra_args_win_only_over_what_deepspeed_reads():
    extra = {"num_layers": 9, "gradient_clipping": 0.5}
    found = args("gpt-neox", deepspeed_extra_args=extra)
    assert (found.num_layers, found.gradient_clipping) == (4, 0.5)


@pytest.mark.parametrize("spelling", ["gpt-neox", "GPT-NeoX", " gpt-neox "])
def test_the_switch_is_read_alike_by_every_part(spelling):
    files = [read_text(f"compat: {spelling!r}\nnum_layers: 2", "a.yml"), read_text("num-layers: 3", "b.yml")]
    assert merge(files)["num_layers"].value == 3
    fp16 = {"fp16": {"type": "bfloat16", "enabled": True}}
    assert args(spelling, **fp16).resolve(World.local(1, "cuda")).precision == "fp16"


def test_the_last_word_on_the_switch_decides_about_spellings(tmp_path):
    (tmp_path / "a.yml").write_text("compat: gpt-neox\nnum_layers: 2\nnum-layers: 3\n")
    assert read_entries([tmp_path / "a.yml"])["num_layers"].value == 3
    with pytest.raises(SettingsError, match="is given twice"):
        read_entries([tmp_path / "a.yml"], ["compat=null"])


@pytest.mark.parametrize("second", ["num_layers", "num-layers"])
def test_a_hyphenated_duplicate_replaces_only_with_it(second):
    files = [read_text("num_layers: 2", "a.yml"), read_text(f"{second}: 3", "b.yml")]
    with pytest.raises(SettingsError, match=r"b.yml:1: num_layers: is given twice, first in a.yml:1"):
        merge(files)
    files.append(read_text("compat: gpt-neox", "c.yml"))
    if second == "num-layers":
        assert merge(files)["num_layers"].value == 3
    else:
        with pytest.raises(SettingsError, match="is given twice"):
            merge(files)


def schedule(compat: str | None, **changes):
    from neox_core.plugins import PluginManager, Switches
    from neox_core.training.schedule import make_schedule

    plugins = PluginManager(Switches())
    given = {"train_iters": 100, "min_lr": 6e-5, "optimizer": {"type": "adam", "params": {"lr": 6e-4}}, **changes}
    return make_schedule(args(compat, **given).resolve(World.local()), plugins)


def test_the_cosine_rises_again_only_with_it():
    ours, theirs = (schedule(compat, lr_decay_style="cosine", warmup=0.1) for compat in (None, "gpt-neox"))
    assert [ours(step) for step in range(101)] == [theirs(step) for step in range(101)]
    assert ours(150) == pytest.approx(6e-5)
    assert theirs(150) > 2e-4


def test_a_short_warmup_begins_above_the_peak_only_with_it():
    ours, theirs = (schedule(compat, warmup=0.005) for compat in (None, "gpt-neox"))
    assert ours(0) == pytest.approx(6e-4)
    assert theirs(0) == pytest.approx(6e-4 / 0.5)
    without = schedule(None, warmup=0.0)
    assert [ours(step) for step in range(101)] == [without(step) for step in range(101)], "ours has no such warm-up"
    assert theirs(1) == pytest.approx(6e-4 * (1 - 0.5 / 99.5))
