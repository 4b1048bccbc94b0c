"""The trace of steps on a disk without room for it."""

from pathlib import Path

import torch
from small_disks import fill, mounted

from alexnet_dist.distributed.mesh import World
from alexnet_dist.telemetry.profile import traced_steps
from alexnet_dist.telemetry.run_files import TRACE

ALONE = World(0, 1, torch.device("cpu"), None)


def test_a_trace_that_the_disk_has_no_room_for_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    with mounted(tmp_path / "disk", "64k") as disk:
        fill(disk)
        with traced_steps(1, ALONE, disk, said.append) as step_is_over:
            for _ in range(3):
                torch.ones(3).sum()
                step_is_over()
        assert [path.name for path in disk.iterdir()] == ["filler"]
        assert said == [f"warning: {disk / TRACE} could not be written: is the disk full?"]
    with traced_steps(1, ALONE, tmp_path, said.append) as step_is_over:
        for _ in range(3):
            step_is_over()
    assert (tmp_path / TRACE).stat().st_size and len(said) == 1
