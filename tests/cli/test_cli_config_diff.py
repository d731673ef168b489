"""`neox config diff`."""

from __future__ import annotations


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
    assert (done.code, sections(done)) == (0, {"WRITTEN DIFFERENTLY, THE SAME IN EFFECT": ["activation"]})


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
    neox.write("b.yml", fp16="{enabled: true}", train_batch_size="4", train_micro_batch_size_per_gpu="4", seed="7")
    done = neox("config", "diff", "a.yml", "b.yml")
    found = sections(done)
    assert found.pop("CHANGES NUMERICS") == ["seed"]
    assert set(found.pop("WRITTEN DIFFERENTLY, THE SAME IN EFFECT")) == {
        "precision",
        "fp16.enabled",
        "intermediate_size",
        "train_micro_batch_size_per_gpu",
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
