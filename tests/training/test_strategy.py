"""Who trains along: the hosts of TF_CONFIG, and the devices of each."""

import json
from types import SimpleNamespace

import pytest

from unet_tf.errors import InputError
from unet_tf.training.strategy import check_batch, choose_strategy, host_share, is_chief


def cluster(kind, index, **jobs):
    """What TF_CONFIG says to one host."""
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


def test_one_process_is_the_chief_of_all(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    strategy = choose_strategy()
    assert (strategy.num_replicas_in_sync, host_share(), is_chief()) == (1, (0, 1), True)
    check_batch(3, strategy)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"cluster": {"worker": ["a:1", "b:1"]}}', '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps"}}',
     '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}'],
)  # fmt: skip
def test_a_cluster_that_cannot_be_read_is_said(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="TF_CONFIG is JSON such as .* received .* Mend it, or unset it"):
        choose_strategy()


@pytest.mark.parametrize(
    ("kind", "index", "share"), [("chief", 0, (0, 3)), ("worker", 0, (1, 3)), ("worker", 1, (2, 3))]
)
def test_the_chief_is_the_first_of_the_hosts(monkeypatch, kind, index, share):
    monkeypatch.setenv("TF_CONFIG", cluster(kind, index, chief=["a:1"], worker=["b:1", "c:1"]))
    assert (host_share(), is_chief()) == (share, share[0] == 0)


THREE = SimpleNamespace(num_replicas_in_sync=3)


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch):
    with pytest.raises(InputError, match="the 3 devices of 1 host.*; received 4 tiles. Choose --batch-size 3 or 6"):
        check_batch(4, THREE)
    check_batch(6, THREE, planned=True)
    words = "has this batch: show it 2 of them a host, such as CUDA_VISIBLE_DEVICES=0,1"
    with pytest.raises(InputError, match=f"the 3 devices of 1 host.*; received 4 tiles. The run {words}"):
        check_batch(4, THREE, planned=True)
    monkeypatch.setenv("TF_CONFIG", cluster("worker", 0, worker=["a:1", "b:1", "c:1"]))
    with pytest.raises(InputError, match="give it as many hosts as divide it, and not 3"):
        check_batch(4, THREE, planned=True)
