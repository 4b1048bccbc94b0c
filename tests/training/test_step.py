"""A step on one device: what the host does in it."""

from collections.abc import Iterator

import pytest
import torch
from no_waiting import NoReading

from alexnet_dist import registry
from alexnet_dist.data import order
from alexnet_dist.distributed.traffic_counter import traffic_counter
from alexnet_dist.gpu_check.setup import Setup
from alexnet_dist.gpu_check.trained import Trained, trained
from alexnet_dist.nets import table
from alexnet_dist.training.step import training_step


@pytest.fixture
def run(one_process: None) -> Iterator[Trained]:
    """Some steps have been taken."""
    with trained(Setup(torch.device("cpu"), small=True), "--train.clip_norm", "1", "--train.global_batch", "8") as run:
        yield run


def test_it_never_waits_for_the_device(run: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order.Order, "fingerprint", lambda order, ids: 0)  # of sample numbers, which lie on the host
    with NoReading():
        run.take(2)
    assert [0 < step.optimizer_seconds < step.seconds for step in run.meter.flush()] == [True, True]


def test_what_follows_from_net_and_samples_is_not_computed_again(run: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(*_: object) -> None:
        pytest.fail("computed again in a step")

    single = type(registry.strategies["single"])
    for owner, name in ((table, "_outputs"), (order, "sample_hashes"), (single, "traffic")):
        monkeypatch.setattr(owner, name, again)
    monkeypatch.setattr(table.ShapedLayer, "weight", property(again))
    run.take(2)
    assert len(run.meter.flush()) == 2


def test_what_is_sent_between_steps_belongs_to_none(run: Trained) -> None:
    traffic_counter()._passed["broadcast", 2, "float32"] = 8
    assert training_step(run.components, run.taken, run.batches, run.meter).counted == {}
