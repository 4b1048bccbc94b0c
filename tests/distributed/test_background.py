"""The thread that communicates while the main thread trains."""

from threading import current_thread

import pytest
import torch

from alexnet_dist.distributed.background import Background


def test_it_works_on_its_ranks_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    uses = {}
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: uses.update({current_thread().name: device}))
    second = torch.device("cuda", 1)
    assert Background[str]("messages", second).submit(lambda: current_thread().name).result() == "messages"
    assert uses == {"messages": second}
