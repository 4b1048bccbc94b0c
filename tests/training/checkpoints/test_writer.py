"""Checkpoints are written while the device may still be copying."""

from pathlib import Path
from threading import current_thread

import pytest
import torch
from safetensors.torch import load_file

from alexnet_dist.config.schema import CheckpointConfig
from alexnet_dist.distributed.mesh import World
from alexnet_dist.errors import RankFailed
from alexnet_dist.training.checkpoints import files
from alexnet_dist.training.checkpoints.host_copies import HostCopies
from alexnet_dist.training.checkpoints.writer import CheckpointWriter

FACTS = {"experiment": {}, "world_size": 1, "mesh": {}, "versions": {}, "generator": 2}


def test_what_is_written_is_there_only_when_it_was_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uses, second = {}, torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: uses.update({current_thread().name: device}))
    monkeypatch.setattr(HostCopies, "wait", lambda copies: copies._memory["weight.fc8"].fill_(7))
    files.make_folder(tmp_path)
    writer = CheckpointWriter(World(0, 1, second, None), tmp_path, CheckpointConfig(), print)
    writer.save({"weight.fc8": torch.zeros(3)}, 1, FACTS)
    assert writer.missing() is None and uses == {"checkpoint": second}
    (file,) = (tmp_path / files.directory_name(1)).glob("*.safetensors")
    assert load_file(file)["weight.fc8"].tolist() == [7, 7, 7]


def test_writing_does_not_wait_for_what_a_gpu_is_given_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is none here: to ask for its stream would fail."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    files.make_folder(tmp_path)
    writer = CheckpointWriter(World(0, 1, torch.device("cpu"), None), tmp_path, CheckpointConfig(), print)
    writer.save({"weight.fc8": torch.zeros(3)}, 1, FACTS)
    assert writer.missing() is None


def test_a_run_whose_folder_another_took_over_leaves_that_ones_half_written_checkpoint(tmp_path: Path) -> None:
    def taken_over() -> None:
        raise RankFailed("another run has taken it over")

    files.make_temporary(tmp_path, 1)  # the other run's
    (half := files.temporary_path(tmp_path, 1) / "model.safetensors").write_text("half")
    said: list[str] = []
    writer = CheckpointWriter(
        World(0, 1, torch.device("cpu"), None), tmp_path, CheckpointConfig(), said.append, taken_over
    )
    writer.save({"weight.fc8": torch.zeros(3)}, 1, FACTS)
    assert "another run has taken it over" in str(writer.missing()) and len(said) == 1
    assert half.read_text() == "half"
