"""`neox config diff`."""

from __future__ import annotations


def sections(done):
    """Title -> keys that differ."""
    found, title = {}, ""
    for line in done.out.splitlines()[1:]:
        if line.startswith("CHANGES"):
            title = line.strip()
        elif line.strip():
            found.setdefault(title, []).append(line.split()[0])
    return found


def test_the_same_is_the_same(neox):
    neox.write("other.yml", norm="layernorm", activation="GELU")  # as by default
    done = neox("config", "diff", "tiny.yml", "other.yml", "--exit-code")
    assert (done.code, done.out) == (0, "same\n")


def test_differences_are_told_by_whether_they_matter(neox):
    neox.write("other.yml", hidden_size="32", num_gpus="2", log_interval="7")
    done = neox("config", "diff", "tiny.yml", "other.yml")
    assert done.code == 0
    assert sections(done) == {
        "CHANGES NUMERICS": ["hidden_size"],
        "CHANGES SPEED OR MEMORY": ["num_gpus"],
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
