from __future__ import annotations

import pytest
from online_servers import ServerProcess
from pydantic import ValidationError

from neox_core.config.groups import OnlineSettings
from neox_core.data.online.addresses import Address, server_of_rank
from neox_core.data.online.dataset import online_dataset
from neox_core.errors import UserError


def dataset_of(settings, rank=0, world_size=1, told=None):
    return online_dataset(
        settings,
        "train",
        100,
        rank=rank,
        world_size=world_size,
        seq_length=8,
        vocab_size=100,
        leave_one_out=True,
        tell=[].append if told is None else told.append,
    )


def test_samples_of_a_run_come_from_the_server_that_the_settings_name():
    with ServerProcess() as server:
        dataset = dataset_of(
            OnlineSettings(online_dataserver_ips="127.0.0.1", online_dataserver_ports=server.address.port)
        )
        samples = [dataset[i] for i in range(4)]
    assert dataset.names == samples[0].keys()
    assert dataset.sources(0) == {}
    assert [sample["text"].tolist() for sample in samples] == [
        [1, 2, 3, 0, 0, 0, 0, 0, 0],
        [1, 2, 4, 0, 0, 0, 0, 0, 0],
        [1, 2, 3, 1, 0, 0, 0, 0, 0],
        [1, 2, 4, 0, 0, 0, 0, 0, 0],
    ]
    assert [sample["label"].tolist()[:5] for sample in samples[:2]] == [
        [-100, -100, 3, 0, -100],
        [-100, -100, 4, -100, -100],
    ]
    assert [float(sample["reward"][0]) for sample in samples] == [-0.5, 0.5, 0.5, -0.5]
    assert [float(sample["raw_reward"][0]) for sample in samples] == [0.0, 0.5, 1.0, 0.5]


def test_nothing_is_connected_before_a_sample_is_asked_for():
    assert len(dataset_of(OnlineSettings(online_dataserver_ips="there.is.no.such.host.invalid"))) == 100


def test_timeout_of_the_settings_is_heeded():
    dataset = dataset_of(
        OnlineSettings(online_dataserver_ips="127.0.0.1", online_dataserver_ports=1, online_dataserver_timeout=0.2)
    )
    with pytest.raises(UserError, match=r"Waited 0.2 s"):
        dataset[0]


def test_each_rank_has_its_server_or_all_have_one():
    assert server_of_rank("a", 1, rank=1, world_size=2) == Address("a", 1)
    assert server_of_rank(["a", "b"], 1, rank=1, world_size=2) == Address("b", 1)
    assert server_of_rank("a", [1, 2], rank=1, world_size=2) == Address("a", 2)
    assert str(server_of_rank(["::1", "b"], [1, 2], rank=0, world_size=2)) == "[::1]:1"


@pytest.mark.parametrize("ports", [[10000], [10000, 10001, 10002]])
def test_list_that_does_not_fit_the_ranks_is_refused(ports):
    with pytest.raises(UserError, match=rf"online_dataserver_ports has {len(ports)} entries.* 2 data-parallel ranks"):
        dataset_of(OnlineSettings(online_dataserver_ports=ports), rank=0, world_size=2)


def test_timeout_is_positive():
    with pytest.raises(ValidationError):
        OnlineSettings(online_dataserver_timeout=0)
