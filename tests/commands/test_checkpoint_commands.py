"""`neox checkpoint`: verbs that look at checkpoints, and `prune`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from checkpoint_worlds import SIZES, in_threads, save_iteration, values
from config_commands import Neox
from killed_processes import killed_at
from neox_commands import checkpoint_average

from neox_core.checkpoint import Reader, RoleTensors, WholeTensors, write_checkpoint
from neox_core.checkpoint.layout import set_aside
from neox_core.errors import UserError
from neox_core.plugins import CommandContext, Switches
from neox_core.training.initial import complete_checkpoint
from neox_core.training.lock import DirectoryLock


@pytest.fixture
def neox(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Neox(tmp_path, capsys)


@pytest.fixture
def saved(neox):
    """A directory with the checkpoints of steps 2, 10 and 30, the last of them by two ranks."""
    for iteration in (2, 10):
        save_iteration(Path("saved"), iteration)
    in_threads(2, lambda group: save_iteration(Path("saved"), 30, group))
    return Path("saved")


AVERAGE = ("average", "saved", "--last", "2", "--to")


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_all_that_lies_there_is_listed_in_the_order_of_steps(neox, saved):
    (saved / "global_step40").mkdir()
    (saved / "global_step50").mkdir()
    (saved / "global_step50/mp_rank_00_model_states.pt").touch()
    (saved / "global_step2/state.json").unlink()
    done = neox("checkpoint", "ls", "saved", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [(entry["iteration"], entry["state"]) for entry in found] == [
        *((2, "damaged"), (10, "complete"), (30, "complete"), (40, "interrupted"), (50, "GPT-NeoX")),
    ]
    assert found[0]["remark"] == "state.json: expected 44 bytes, found no file"
    assert [entry["latest"] for entry in found] == [False, False, True, False, False]
    lines = neox("checkpoint", "ls", "saved").out.splitlines()
    assert len(lines) == 6
    assert "data 2" in lines[3]
    assert lines[3].endswith("<- latest")


@pytest.mark.parametrize("words", [("nowhere",), (".",)])
def test_where_there_is_nothing_it_is_said(neox, words):
    done = neox("checkpoint", "ls", *words)
    assert done.code == 2
    assert "there is no such directory" in done.err or "holds no directory global_step" in done.err


def test_a_checkpoint_is_shown(neox, saved):
    done = neox("checkpoint", "show", "saved", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["step"], found["ranks"]["number"], found["state"]["consumed_samples"]) == (30, 2, 240)
    elements = sum(torch.Size(shape).numel() for shape in SIZES.values())
    assert found["kept"]["weight bfloat16"] == {"tensors": 3, "elements": elements, "bytes": 2 * elements}
    assert found["kept"]["step float32"]["elements"] == 3
    said = neox("checkpoint", "show", "saved/global_step10").out
    assert "saved/global_step10" in said
    assert "weight bfloat16" in said


def test_tensors_are_shown_by_their_names(neox, saved):
    done = neox("checkpoint", "show", "saved", "--tensors", "layers.*", "--stats", "--json")
    (entry,) = json.loads(done.out)["tensors"]
    weight = values(30, "layers.0.mlp.bias", "weight").double()
    assert (entry["name"], entry["shape"]) == ("layers.0.mlp.bias", [5])
    assert entry["mean"] == pytest.approx(float(weight.mean()))
    assert entry["largest"] == pytest.approx(float(weight.abs().max()))
    lines = neox("checkpoint", "show", "saved", "--tensors").out.split("\n\n")[2].splitlines()
    assert len(lines) == 1 + len(SIZES)
    refused = neox("checkpoint", "show", "saved", "--tensors", "layer.*")
    assert (refused.code, "no tensor is called so" in refused.err) == (2, True)


def test_settings_are_shown_as_they_were_saved(neox, saved):
    assert neox("checkpoint", "show", "saved", "--settings").out == "num_layers: 2\n"
    found = json.loads(neox("checkpoint", "show", "saved", "--settings", "--json").out)
    assert (found["step"], found["settings"]) == (30, {"num_layers": 2})
    refused = neox("checkpoint", "show", "saved", "--settings", "--stats")
    assert refused.code == 2
    assert "leave out --tensors and --stats" in refused.err


def test_a_checkpoint_may_be_named_itself_and_by_its_step(saved):
    assert complete_checkpoint(saved / "global_step10", 10) == complete_checkpoint(saved, 10) == saved / "global_step10"
    with pytest.raises(UserError, match="iteration 2: saved/global_step10 is the checkpoint of step 10"):
        complete_checkpoint(saved / "global_step10", 2)


def test_what_is_as_it_was_written_is_verified(neox, saved):
    done = neox("checkpoint", "verify", "saved")
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 3
    assert "global_step30: 11 files" in done.out


def test_every_file_that_differs_is_named(neox, saved):
    flip(saved / "global_step10/shards/rank-00000.safetensors")
    flip(saved / "global_step10/settings.yml", 0)
    (saved / "global_step10/tokenizer.json").unlink()
    flip(saved / "global_step30/manifest.json", 40)
    done = neox("checkpoint", "verify", "saved")
    assert done.code == 2
    for name in ("shards/rank-00000.safetensors", "settings.yml", "tokenizer.json"):
        assert f"error: saved/global_step10/{name} is damaged: " in done.err
    assert "error: saved/global_step30/manifest.json is damaged" in done.err
    assert done.out.splitlines()[0].startswith("saved/global_step2: ")
    data = json.loads(neox("checkpoint", "verify", "saved/global_step10", "--json").out)
    assert len(data[0]["mistakes"]) == 3


def test_the_same_checkpoint_by_other_ranks_does_not_differ(neox, saved):
    save_iteration(Path("other"), 30)
    done = neox("checkpoint", "diff", "saved", "other")
    assert (done.code, done.out) == (0, "no difference\n")


def test_differences_are_told_by_size(neox, saved):
    done = neox("checkpoint", "diff", "saved/global_step10", "saved/global_step30", "--json")
    assert done.code == 1, done.err
    found = json.loads(done.out)
    assert found["state"]["step"] == [10, 30]
    assert found["settings"] == {}
    assert {(entry["name"], entry["role"]) for entry in found["tensors"]} == {
        (name, role) for name in SIZES for role in ("weight", "master", "exp_avg", "step")
    }
    entry = next(each for each in found["tensors"] if (each["name"], each["role"]) == ("norm.weight", "exp_avg"))
    one, other = values(10, "norm.weight", "exp_avg").double(), values(30, "norm.weight", "exp_avg").double()
    assert entry["largest"] == pytest.approx(float((one - other).abs().max()))
    assert entry["relative"] == pytest.approx(float((one - other).norm() / one.norm()))
    weights = neox("checkpoint", "diff", "saved/global_step10", "saved/global_step30", "--weights-only")
    assert weights.code == 1
    assert "exp_avg" not in weights.out


@pytest.mark.parametrize(
    "words",
    [
        ("checkpoint", "diff", "file:///a/b", "saved"),
        ("checkpoint", "diff", "saved", "s3://a/b/"),
        ("checkpoint", "reshard", "file:///a/b", "new"),
        ("checkpoint", "average", "saved", "file:///a/b", "--to", "new"),
        ("checkpoint", "push", "file:///a/b", "file:///c"),
        ("convert", "file:///a/b", "new"),
        ("migrate", "file:///a/b", "new"),
        ("generate", "file:///a/b"),
    ],
)
def test_a_url_where_a_directory_is_wanted_is_refused_as_it_was_written(neox, saved, words):
    (url,) = [word for word in words if word.startswith(("file:///a", "s3:"))]
    before = sorted(Path().rglob("*"))
    done = neox(*words)
    assert (done.code, done.err.count("\n"), done.err.count("error: ")) == (2, 1, 1)
    assert done.err.startswith(f"error: {url} is a URL, and a directory here is wanted")
    assert f"`neox checkpoint pull {url} DIR` first" in done.err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ("checkpoint", "reshard", "saved", "file:///a/b"),
        ("checkpoint", "average", "saved", "--last", "2", "--to", "file:///a/b"),
        ("checkpoint", "pull", "file:///c", "file:///a/b"),
        ("convert", "saved", "file:///a/b"),
        ("migrate", "saved", "file:///a/b"),
    ],
)
def test_a_url_for_what_is_made_is_refused_as_it_was_written(neox, saved, words):
    done = neox(*words)
    assert done.code == 2
    assert "error: file:///a/b is a URL, and what is made is written to a directory here" in done.err


def test_a_url_that_a_program_took_for_a_path_is_told_as_it_was():
    for url in ("file:///a/b", "s3://bucket/b", "gs://bucket/b"):
        with pytest.raises(UserError, match=f"^{url} is a URL, .*pull {url} DIR"):
            complete_checkpoint(Path(url))


def test_the_same_weights_do_not_differ_whatever_lies_beside_them(neox, saved):
    for name, settings in (("one", "num_layers: 2\n"), ("other", "num_layers: 2\nseed: 5\n")):
        reader = Reader(saved / "global_step30")
        write_checkpoint(
            Path(name),
            WholeTensors(reader.path, {"weight": RoleTensors(reader, "weight")}),
            iteration=len(name),
            state={"consumed_samples": len(name)},
            files={"settings.yml": settings},
        )
    everything = neox("checkpoint", "diff", "one", "other", "--json")
    assert (everything.code, json.loads(everything.out)["settings"]) == (1, {"seed": [None, 5]})
    done = neox("checkpoint", "diff", "one", "other", "--weights-only")
    assert (done.code, done.out) == (0, "no difference\n")
    as_data = json.loads(neox("checkpoint", "diff", "one", "other", "--weights-only", "--json").out)
    assert as_data == {"one": "one/global_step3", "other": "other/global_step5", "tensors": []}
    with_moments = neox("checkpoint", "diff", "saved", "one", "--weights-only")
    assert (with_moments.code, with_moments.out) == (0, "no difference\n")


def test_old_ones_are_deleted_and_the_newest_whole_one_never(neox, saved):
    (saved / "global_step30/state.json").unlink()
    (saved / "global_step5").mkdir()
    said = neox("checkpoint", "prune", "saved", "--keep", "1", "--dry-run").out.splitlines()
    assert said == ["would delete saved/global_step2", "would delete saved/global_step5"]
    assert (saved / "global_step2").exists()
    done = neox("checkpoint", "prune", "saved", "--keep", "1")
    assert done.out.splitlines() == ["deleted saved/global_step2", "deleted saved/global_step5"]
    assert Reader(saved / "global_step10").iteration == 10
    assert (saved / "global_step30").exists(), "what is later than the newest whole one is left to its owner"


def test_nothing_is_deleted_while_a_run_saves_there(neox, saved):
    lock = DirectoryLock(saved)
    done = neox("checkpoint", "prune", "saved", "--keep", "1")
    lock.release()
    assert done.code == 2
    assert "is saving into saved" in done.err
    assert (saved / "global_step2").exists()


@pytest.mark.parametrize("words", [("prune", "saved"), ("prune", "saved", "--keep", "0"), ("vrify", "saved")])
def test_words_that_make_no_sense_are_refused(neox, saved, words):
    assert neox("checkpoint", *words).code == 2
    assert len(list(saved.glob("global_step*"))) == 3


def test_a_renamed_checkpoint_is_told_and_never_used(neox, saved):
    (saved / "global_step10").rename(saved / "global_step20")
    listed = json.loads(neox("checkpoint", "ls", "saved", "--json").out)[1]
    assert (listed["iteration"], listed["state"]) == (20, "renamed")
    assert listed["remark"].endswith("rename it back to global_step10")
    sentence = (
        "saved/global_step20 was renamed: its manifest says that it is of step 10: rename it back to global_step10."
    )
    for words in (("verify", "saved"), ("show", "saved/global_step20"), ("push", "saved/global_step20", "file:///no")):
        done = neox("checkpoint", *words)
        assert done.code == 2
        assert sentence in done.err
    assert "global_step20" not in neox("checkpoint", "prune", "saved", "--keep", "1").out
    (saved / "global_step20").rename(saved / "global_step10")
    assert neox("checkpoint", "verify", "saved").code == 0


def test_a_copy_with_the_name_of_another_step_is_not_sent_over_the_first(neox, saved):
    shutil.copytree(saved / "global_step10", saved / "global_step20")
    done = neox("checkpoint", "verify", "saved/global_step20")
    assert done.code == 2
    assert "global_step10 is there, too: remove this one, or give it a name without a step." in done.err


def test_a_name_that_says_no_step_may_be_any(neox, saved):
    (saved / "global_step10").rename(saved / "best")
    assert neox("checkpoint", "verify", "saved/best").code == 0
    assert json.loads(neox("checkpoint", "show", "saved/best", "--json").out)["step"] == 10


@pytest.mark.parametrize("where", ["saved", "file://{}/saved"])
def test_what_latest_names_and_is_not_there_is_told(neox, saved, where, tmp_path):
    shutil.rmtree(saved / "global_step30")
    where = where.format(tmp_path)
    listed = json.loads(neox("checkpoint", "ls", where, "--json").out)
    assert [(entry["iteration"], entry["state"]) for entry in listed] == [
        (2, "complete"),
        (10, "complete"),
        (30, "absent"),
    ]
    assert listed[2]["remark"] == "latest names global_step30, which is not here"
    done = neox("checkpoint", "verify", where)
    assert done.code == 2
    assert len(done.out.splitlines()) == 2
    assert f"{where}/latest names" in done.err
    assert neox("checkpoint", "verify", f"{where}/global_step10").code == 0
    neox("checkpoint", "prune", "saved", "--keep", "2")
    assert neox("checkpoint", "verify", where).code == 0, "where the newest is known, `latest` is mended"


@pytest.mark.parametrize("where", ["saved", "file://{}/saved"])
def test_files_that_are_no_part_of_a_checkpoint_are_told(neox, saved, where, tmp_path):
    for name in ("notes.txt", "shards/rank-00007.safetensors", ".state.json.1.tmp"):
        (saved / "global_step10" / name).touch()
    where = f"{where.format(tmp_path)}/global_step10"
    done = neox("checkpoint", "verify", where)
    assert done.code == 0, done.err
    assert done.err == f"note: {where}: no part of it: .state.json.1.tmp, notes.txt, shards/rank-00007.safetensors\n"
    assert len(json.loads(neox("checkpoint", "verify", where, "--json").out)[0]["extra"]) == 3


def test_what_was_set_aside_is_listed_and_stays(neox, saved):
    place = set_aside(saved / "global_step2")
    listed = json.loads(neox("checkpoint", "ls", "saved", "--json").out)
    assert [(entry["iteration"], entry["state"]) for entry in listed] == [
        *((2, "set aside"), (10, "complete"), (30, "complete")),
    ]
    assert listed[0]["size"] >= listed[1]["size"]
    neox("checkpoint", "prune", "saved", "--keep", "1")
    assert sorted(path.name for path in saved.glob("global_step*")) == [place.name, "global_step30"]


def test_prune_in_a_store_is_refused_with_the_key_that_does_it(neox):
    done = neox("checkpoint", "prune", "file:///a/b", "--keep", "1")
    assert done.code == 2
    assert done.err.startswith("error: file:///a/b is a URL, and prune deletes in a directory here; in a store")
    assert "`keep_last_n_checkpoints`" in done.err


def test_prune_with_nothing_to_do_says_so(neox, saved):
    for words in ((), ("--dry-run",)):
        done = neox("checkpoint", "prune", "saved", "--keep", "3", *words)
        assert (done.code, done.out) == (0, "nothing to delete in saved: whole checkpoints 3, --keep 3\n")
    assert json.loads(neox("checkpoint", "prune", "saved", "--keep", "3", "--json").out) == {"deleted": []}


def test_prune_names_what_it_leaves_alone(neox, saved):
    (saved / "global_step2").rename(saved / "global_step40")
    (saved / "global_step30" / "index.json").unlink()
    done = neox("checkpoint", "prune", "saved", "--keep", "1")
    left = "global_step30 (damaged), global_step40 (renamed)"
    assert done.out == f"nothing to delete in saved: whole checkpoints 1, left alone {left}, --keep 1\n"
    assert (saved / "latest").read_text() == "global_step30\n"


def test_what_is_done_is_told_as_data(neox, saved, tmp_path):
    doomed = ["saved/global_step2", "saved/global_step10"]
    assert json.loads(neox("checkpoint", "prune", "saved", "--keep", "1", "--dry-run", "--json").out) == {
        "would_delete": doomed
    }
    store = f"file://{tmp_path}/store"
    pushed = json.loads(neox("checkpoint", "push", "saved", store, "--all", "--json").out)
    assert [entry["url"] for entry in pushed] == [f"{store}/global_step{number}" for number in (2, 10, 30)]
    size = sum(file.stat().st_size for file in Path("saved/global_step30").rglob("*.*") if file.name != "manifest.json")
    assert pushed[2]["sent"] == size
    pulled = json.loads(neox("checkpoint", "pull", store, "back", "--json").out)
    assert pulled == {"url": f"{store}/global_step30", "path": "back/global_step30", "bytes": size}
    assert json.loads(neox("checkpoint", "prune", "saved", "--keep", "1", "--json").out) == {"deleted": doomed}


@pytest.mark.parametrize("words", [("reshard", "saved/global_step30"), ("pull", "file://{}/saved/global_step30")])
def test_of_a_copy_that_fails_nothing_is_left(neox, saved, words, tmp_path):
    (saved / "global_step30/shards/rank-00001.safetensors").write_bytes(b"short")
    words = [word.format(tmp_path) for word in words]
    assert neox("checkpoint", *words, "a/b").code == 2
    assert not Path("a").exists()
    Path("a").mkdir()
    assert neox("checkpoint", *words, "a").code == 2
    assert list(Path("a").iterdir()) == []


@pytest.mark.parametrize("where", ["{}", "file://{}"])
def test_what_holds_weights_alone_is_marked(neox, saved, where, tmp_path):
    assert neox("checkpoint", *AVERAGE, "mean").code == 0
    for name, alone in (("saved", False), ("mean", True)):
        place = f"{where.format(tmp_path)}/{name}"
        assert json.loads(neox("checkpoint", "ls", place, "--json").out)[-1]["weights_alone"] is alone
        assert ("weights alone" in neox("checkpoint", "ls", place).out) is alone


def test_what_a_killed_command_has_left_is_taken_over(neox, saved):
    kills = 0
    assert neox("checkpoint", *AVERAGE, "elsewhere").code == 0, "what is imported is, from here on"
    for operation in range(0, 1000, 3):
        killed = killed_at(
            operation, lambda: checkpoint_average.main([*AVERAGE[1:], "mean"], CommandContext(Switches()))
        )
        done = neox("checkpoint", *AVERAGE, "mean")
        if done.code == 0:
            assert sorted(path.name for path in Path("mean").iterdir()) == [".lock", "global_step30", "latest"]
        else:
            assert "is a complete checkpoint already" in done.err
        assert neox("checkpoint", "verify", "mean").code == 0
        shutil.rmtree("mean")
        if not killed:
            break
        kills += 1
    assert kills > 10


def test_of_a_lock_nothing_is_left_by_what_is_interrupted(tmp_path):
    def interrupted(directory):
        with pytest.raises(KeyboardInterrupt), DirectoryLock(directory):
            assert (directory / ".lock").exists()
            raise KeyboardInterrupt

    interrupted(tmp_path / "a/b")
    assert list(tmp_path.iterdir()) == []
    with DirectoryLock(tmp_path / "a"):
        pass
    interrupted(tmp_path / "a")
    assert [path.name for path in tmp_path.glob("a/*")] == [".lock"], "it was there before"
