"""Runs that begin with checkpoints at URLs: what is chosen, what is refused, and how it comes to a host."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from copied_checkpoints import PARTS, contents, store_at
from plugin_runs import write_config, write_data

from neox_core.checkpoint import SoloGroup, save
from neox_core.checkpoint.layout import checkpoints
from neox_core.checkpoint.remote import push
from neox_core.checkpoint.resolution import resolved_with
from neox_core.cli.sources import source_of
from neox_core.config import Host, NeoXArgs, World, dump_yaml
from neox_core.config.command_line import Parser
from neox_core.config.entries import entries_of
from neox_core.config.loading import read_file
from neox_core.errors import UserError
from neox_core.launch import Rendezvous
from neox_core.launch.breadcrumbs import Breadcrumbs
from neox_core.plugins import PluginManager
from neox_core.training.away import bring
from neox_core.training.start import prepare


@pytest.fixture
def directory(tmp_path):
    write_data(tmp_path)
    return tmp_path


def save_run(directory, config):
    """The checkpoint of step 4 of a run with these settings, without tensors."""
    resolved = NeoXArgs(read_file(config), PluginManager()).resolve(World.local())
    return save(
        directory,
        iteration=4,
        fragments=[],
        state=resolved_with(resolved),
        files={"settings.yml": dump_yaml(resolved.values)},
        random_state=None,
        group=SoloGroup(),
    )


def place(local_rank):
    """That of a rank of a host with two."""
    return Rendezvous.of_rank(local_rank, World.local(2), master_addr="localhost", master_port=1)


@pytest.fixture
def copied(bucket, reach, directory, tmp_path_factory):
    """A run's checkpoint of step 4, which a store has and this machine has not."""
    path = save_run(tmp_path_factory.mktemp("saved"), write_config(directory))
    push(path, store_at(f"{bucket}/mine"), PARTS)
    return f"{bucket}/mine/global_step4"


def prepared(directory, monkeypatch, **changes):
    """What `neox train` would start."""
    monkeypatch.chdir(directory)
    values = {**json.loads((directory / "tiny.yml").read_text()), **changes}
    entries = entries_of({key: value for key, value in values.items() if value is not None}, "settings")
    return prepare(entries, PluginManager(), default_name="run")


def test_a_url_is_copied_to_where_the_ranks_look(bucket, copied, directory, monkeypatch):
    run = prepared(directory, monkeypatch, load=bucket, save="other")
    path = Path(str(run.handover.checkpoint))
    assert run.handover.away == ((copied, str(path)),)
    assert path.is_relative_to(directory / "other/.remote")
    assert not (directory / "other").exists(), "nothing is written before the run begins"
    bring(run.handover.away, run.resolved, run.plugins, place(0), Breadcrumbs())
    bring(run.handover.away, run.resolved, run.plugins, place(1), Breadcrumbs())
    assert contents(path)["settings.yml"]
    assert [*checkpoints(path.parent)] == [4]


def test_to_where_all_hosts_look_rank_0_copies_alone(bucket, copied, directory, monkeypatch):
    run = prepared(directory, monkeypatch, load=bucket, save="other")
    world = World((Host("one", 1), Host("two", 1)))
    places = [Rendezvous.of_rank(rank, world, master_addr="localhost", master_port=1) for rank in range(2)]
    arguments = [(run.handover.away, run.resolved, run.plugins, place, Breadcrumbs()) for place in places]
    other = threading.Thread(target=bring, args=arguments[1])
    other.start()
    time.sleep(0.5)
    assert not (directory / "other").exists()
    bring(*arguments[0])
    other.join(10)
    assert not other.is_alive()
    run = prepared(directory, monkeypatch, load=bucket, save="other", remote_cache="cache")
    bring(run.handover.away, run.resolved, run.plugins, places[1], Breadcrumbs())
    assert contents(Path(str(run.handover.checkpoint)))["settings.yml"], "each host has a cache of its own"


def test_the_directory_for_copies_can_be_chosen(bucket, copied, directory, monkeypatch):
    run = prepared(directory, monkeypatch, initial_ckpt_path=copied, remote_cache="kept")
    assert Path(str(run.handover.initial)).is_relative_to(directory / "kept")
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))
    run = prepared(directory, monkeypatch, initial_ckpt_path=copied)
    assert Path(str(run.handover.initial)).is_relative_to(directory / "cache/neox/checkpoints")
    run = prepared(directory, monkeypatch, load=bucket, finetune=True)
    assert Path(str(run.handover.initial)).name == "global_step4"
    assert run.handover.checkpoint is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"load": "{bucket}", "num_layers": 3}, "{bucket}/mine/global_step4 was saved with num_layers 2 \\(now 3\\)"),
        (
            {"load": "{bucket}", "iteration": 3},
            "there is no complete checkpoint of iteration 3; there is: global_step4",
        ),
        ({"load": "{bucket}/none"}, "{bucket}/none: there is no complete checkpoint"),
        ({"initial_ckpt_path": "{bucket}/none"}, "initial_ckpt_path: {bucket}/none: there is no complete checkpoint"),
        ({"load": "s3://no-such-bucket/x"}, "there is no bucket 'no-such-bucket'"),
        ({"load": "nope://x/y"}, "fsspec knows no nope://"),
        ({"s3_path": "s3://key:hidden@x/y"}, "credentials do not belong into a URL"),
        ({"load": "az://x/y?sig=hidden"}, r"a URL of a store has no '\?'"),
        ({"save": "s3://x/y"}, "checkpoints are saved to a directory"),
        ({"s3_path": "s3://x/y", "s3_chunk_size": 1000}, "the least that S3 takes"),
        ({"s3_path": "s3://x/y", "s3_chunk_size": 6 << 30}, "the most that S3 takes"),
        ({"s3_path": "{bucket}", "save": "a#1"}, "save: copies are in a folder .* 'a#1', and a URL of a store has no"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_be_had_is_refused_before_anything_begins(
    bucket, copied, directory, monkeypatch, changes, sentence
):
    changes = {key: value.format(bucket=bucket) if isinstance(value, str) else value for key, value in changes.items()}
    with pytest.raises(UserError, match=sentence.format(bucket=bucket)) as raised:
        prepared(directory, monkeypatch, **{"save": "other", **changes})
    assert "hidden" not in str(raised.value)
    assert "/tmp/neox-" not in str(raised.value)
    assert not (directory / "other").exists()


def test_the_newest_of_a_runs_own_is_taken_here_or_there(bucket, copied, directory, monkeypatch, capsys):
    own = {"save": "mine", "load": "mine", "s3_path": bucket}
    run = prepared(directory, monkeypatch, **own)
    assert run.handover.checkpoint == str(directory / "mine/global_step4")
    bring(run.handover.away, run.resolved, run.plugins, place(0), Breadcrumbs())
    assert prepared(directory, monkeypatch, **own).handover.away == ()
    store_at(f"{bucket}/mine").delete("global_step4/manifest.json")
    assert prepared(directory, monkeypatch, **{**own, "load": bucket}).handover.checkpoint == "mine/global_step4"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert prepared(directory, monkeypatch, **own).handover.checkpoint == "mine/global_step4"
    assert "whether later checkpoints are at" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"whether there is one at {bucket}/gone cannot be found out"):
        prepared(directory, monkeypatch, **{**own, "save": "gone", "load": "gone"})


def test_a_run_does_not_begin_anew_where_the_disk_with_its_copies_is_not_mounted(directory, monkeypatch, tmp_path):
    write_config(directory)
    changes = {"save": "gone", "load": "gone", "s3_path": f"file://{tmp_path}/disk"}
    for load in ("gone", None):
        with pytest.raises(
            UserError, match=rf"s3_path: there is no directory {tmp_path}/disk \(mount the disk that has it"
        ):
            prepared(directory, monkeypatch, **{**changes, "load": load})
    (tmp_path / "disk").mkdir()
    assert prepared(directory, monkeypatch, **changes).handover.checkpoint is None


def test_settings_come_from_a_url(copied):
    parser = Parser(prog="x", description="")
    parser.add_settings_from()
    options = parser.parse(["--settings-from", copied])
    source = source_of(options, PluginManager())
    with pytest.raises(UserError, match=f"checkpoint {copied}/settings.yml:"):
        NeoXArgs.from_dict({"num_layers": 3, "seq_length": 8}, settings_from=source)
