"""`neox config diff`."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from neox_core.cli.config.diff import differences
from neox_core.cli.config.side import divided, read_side
from neox_core.config import NeoXArgs, World
from neox_core.config.groups import BatchSettings
from neox_core.config.resolve import resolve_batch
from neox_core.errors import SettingsError
from neox_core.plugins import CommandContext, PluginManager, Switches

SAME = "WRITTEN DIFFERENTLY, THE SAME IN EFFECT"


def sections(done):
    """Title -> keys that differ."""
    found, title = {}, ""
    for line in done.out.splitlines()[1:]:
        if line.startswith(("CHANGES", "WRITTEN")):
            title = line.strip()
        elif line.strip():
            found.setdefault(title, []).append(line.split()[0])
    return found


def test_the_same_is_the_same(neox):
    neox.write("other.yml", norm="layernorm")  # as by default
    done = neox("config", "diff", "tiny.yml", "other.yml", "--exit-code")
    assert (done.code, done.out) == (0, "same\n")


def test_the_case_of_a_component_s_name_is_a_matter_of_writing(neox):
    neox.write("other.yml", activation="GELU")
    done = neox("config", "diff", "tiny.yml", "other.yml", "--exit-code")
    assert (done.code, sections(done)) == (0, {SAME: ["activation"]})


def test_differences_are_told_by_whether_they_matter(neox):
    neox.write("other.yml", hidden_size="32", num_workers="7", log_interval="7")
    done = neox("config", "diff", "tiny.yml", "other.yml")
    assert done.code == 0
    assert sections(done) == {
        "CHANGES NUMERICS": ["hidden_size"],
        "CHANGES SPEED OR MEMORY": ["num_workers"],
        "CHANGES NEITHER": ["log_interval"],
    }
    assert "  hidden_size            16        32\n" in done.out
    assert neox("config", "diff", "tiny.yml", "other.yml", "--exit-code").code == 1


def test_mappings_are_compared_by_what_is_in_them(neox):
    for name, lr in (("a.yml", "0.1"), ("b.yml", "0.2")):
        neox.write(name, optimizer=f"{{type: adamw, params: {{lr: {lr}, betas: [0.9, 0.95]}}}}")
    assert sections(neox("config", "diff", "a.yml", "b.yml")) == {"CHANGES NUMERICS": ["optimizer.params.lr"]}
    given = neox("config", "diff", "tiny.yml", "a.yml")
    assert sections(given)["CHANGES NUMERICS"] == ["optimizer.type", "optimizer.params.lr", "optimizer.params.betas"]


def test_a_side_may_be_several_files(neox):
    neox.write("seed.yml", "seed: 7\n")
    done = neox("config", "diff", "tiny.yml", "tiny.yml,seed.yml")
    assert sections(done) == {"CHANGES NUMERICS": ["seed"]}


def test_a_side_may_be_a_run_or_a_checkpoint(neox):
    neox.write("runs/now/resolved.yml", seed="1")
    neox.write("saved/global_step3/settings.yml", seed="2")
    done = neox("config", "diff", "runs/now", "saved/global_step3")
    assert sections(done) == {"CHANGES NUMERICS": ["seed"]}
    lost = neox("config", "diff", "runs", "tiny.yml")
    assert lost.code == 2
    assert "runs: is a directory, and neither that of a run" in lost.err
    assert "such as runs/now" in lost.err


def test_what_is_not_valid_today_is_compared_as_far_as_it_can_be_read(neox):
    neox.write("older.yml", hidden_size="32", gone_since="3", num_layers="two")
    done = neox("config", "diff", "tiny.yml", "older.yml")
    assert done.code == 0
    assert sections(done) == {"CHANGES NUMERICS": ["num_layers", "hidden_size"]}
    assert "note: older.yml is no valid configuration" in done.err
    assert "gone_since: there is no such setting" in done.err


def test_a_side_that_is_not_there_is_a_mistake(neox):
    assert neox("config", "diff", "tiny.yml", "nowhere.yml").code == 2


def test_what_comes_to_the_same_is_told_apart(neox):
    neox.write("a.yml", precision="fp16", optimizer="{type: Adam, params: {lr: 0.001}}", intermediate_size="64")
    neox.write("b.yml", fp16="{enabled: true}", train_batch_size="4", gradient_accumulation_steps="1", seed="7")
    done = neox("config", "diff", "a.yml", "b.yml")
    found = sections(done)
    assert found.pop("CHANGES NUMERICS") == ["seed"]
    assert set(found.pop(SAME)) == {
        "precision",
        "fp16.enabled",
        "intermediate_size",
        "gradient_accumulation_steps",
        "optimizer.type",
        "optimizer.params.lr",
    }
    assert not found
    neox.write("c.yml", fp16="{enabled: true}", seed="7")
    assert neox("config", "diff", "b.yml", "c.yml", "--exit-code").code == 0


def test_sides_may_have_overrides_and_a_directory(neox):
    neox.write("conf/a.yml", seed="1")
    done = neox("config", "diff", "-d", "conf", "a", "a,seed=2")
    assert sections(done) == {"CHANGES NUMERICS": ["seed"]}


def test_checkpoints_stand_for_the_newest_of_them(neox):
    neox.write("saved/global_step3/settings.yml", seed="2")
    neox.write("saved/latest", "global_step3\n")
    assert neox("config", "diff", "saved", "saved/global_step3").out == "same\n"


def test_a_side_that_is_half_written_is_a_mistake(neox):
    for words in (
        ["tiny.yml,", "tiny.yml"],
        ["tiny.yml"],
        ["tiny.yml", "tiny.yml", "--exit"],
        ["tiny.yml,tiny.yml"] * 2,
    ):
        done = neox("config", "diff", *words)
        assert (done.code, done.out) == (2, ""), words
        assert "Traceback" not in done.err
    assert "named twice" in done.err


def test_batches_that_part_with_the_number_of_ranks_are_not_the_same(neox):
    neox.write("micro.yml", train_batch_size=None, train_micro_batch_size_per_gpu="4")
    keys = ["train_batch_size", "train_micro_batch_size_per_gpu"]
    done = neox("config", "diff", "tiny.yml", "micro.yml", "--exit-code")
    assert (done.code, sections(done)) == (1, {"CHANGES NUMERICS": keys})
    alone = neox("config", "diff", "tiny.yml", "micro.yml", "--exit-code", "--world-size", "1")
    assert (alone.code, sections(alone)) == (0, {SAME: keys})
    assert neox("config", "diff", "tiny.yml", "micro.yml", "--exit-code", "--world-size=2").code == 1
    counted = neox("config", "diff", "tiny.yml,global_num_gpus=1", "micro.yml,global_num_gpus=1", "--exit-code")
    assert (counted.code, sections(counted)) == (0, {SAME: keys})


def batches(sizes):
    """The batch on each number of ranks, None where it cannot be made."""
    args = NeoXArgs.from_ymls(["tiny.yml"], sizes, plugins=PluginManager(Switches()))

    def on(ranks):
        try:
            return resolve_batch(args, World.local(ranks))
        except SettingsError:
            return None

    return [on(ranks) for ranks in (1, 2, 3, 4, 6, 8)]


def test_batches_are_the_same_only_where_they_are_on_any_number_of_ranks(neox):
    sides = []
    for numbers in product((None, 4, 6), (None, 2, 4), (None, 1, 2)):
        sizes = dict(zip(BatchSettings.model_fields, numbers, strict=True))
        words = [f"{key}={'null' if size is None else size}" for key, size in sizes.items()]
        sides.append((read_side(",".join(["tiny.yml", *words]), CommandContext(Switches())), batches(sizes)))
    called_same = [
        on_ranks == others_on_ranks
        for (left, on_ranks), (right, others_on_ranks) in combinations(sides, 2)
        if not set(differences(left, right)) - {"same"}
    ]
    assert called_same
    assert all(called_same)


def test_what_does_not_fit_together_is_told_and_compared_as_it_is_written(neox):
    neox.write("other.yml", precision="fp16", train_batch_size="8", train_micro_batch_size_per_gpu="8")
    done = neox("config", "diff", "tiny.yml,fp16={enabled: true}", "other.yml", "--world-size", "2")
    assert done.code == 0
    assert "precision" in sections(done)["CHANGES NUMERICS"]
    assert "note: other.yml does not fit together and is compared as it is written, as for 2 ranks" in done.err
    assert "8 samples a step cannot be made of 8 a pass x 2 data-parallel ranks" in done.err


def test_what_neox_heeds_by_itself_is_not_what_deepspeed_is_told(neox):
    words = (f"tiny.yml,zero_allow_untested_optimizer={value}" for value in ("true", "false"))
    assert neox("config", "diff", *words, "--exit-code").code == 1
    done = neox("config", "explain", "zero_allow_untested_optimizer", "tiny.yml", "zero_allow_untested_optimizer=false")
    assert "comes to" not in done.out


def test_a_side_with_a_long_override_is_no_file(neox):
    done = neox("config", "diff", "tiny.yml", f"tiny.yml,save={'a' * 300}")
    assert (done.code, sections(done)) == (0, {"CHANGES NEITHER": ["save"]})


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("a.yml", ["a.yml"]),
        ("a.yml,seed=2,b", ["a.yml", "seed=2", "b"]),
        ("a,attention_config=[[[global],all]],b", ["a", "attention_config=[[[global],all]]", "b"]),
        ("optimizer={type: adam, params: {lr: 1, betas: [0, 1]}},b", 2),
        ("save='x, y',load=\"u,v\",b", ["save='x, y'", 'load="u,v"', "b"]),
        ("wandb_team='it''s, us',b", 2),
        ("o'brien.yml,seed=2,it's", ["o'brien.yml", "seed=2", "it's"]),
        ("a,seed=[1,b", ["a", "seed=[1,b"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_a_side_is_divided_at_the_commas_outside_of_values(word, parts):
    found = divided(word)
    assert ",".join(found) == word
    assert (found if isinstance(parts, list) else len(found)) == parts


def test_a_value_of_a_side_may_have_commas(neox):
    done = neox("config", "diff", "tiny.yml,attention_config=[[[global],all]],seed=7", "tiny.yml")
    assert sections(done) == {SAME: ["attention_config"], "CHANGES NUMERICS": ["seed"]}
