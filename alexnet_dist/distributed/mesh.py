"""The ranks: how they are arranged, and which of them share samples."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

SIMULATED = "fake"  # torch's backend for one rank without its peers


@dataclass(frozen=True)
class World:
    """The ranks, not yet arranged.

    Attributes:
        rank, size: this process, and how many there are.
        device: of this rank.
        control: a gloo group over all ranks for small host-side messages; None for one rank.
        backend: of the groups that carry tensors: "gloo" or "nccl"; SIMULATED for one rank without its peers.
    """

    rank: int
    size: int
    device: torch.device
    control: ProcessGroup | None
    backend: str = "gloo"


def new_host_group(timeout: timedelta) -> ProcessGroup:
    """A group over all ranks for messages between hosts, whatever carries tensors. Collective."""
    simulated = dist.get_backend() == SIMULATED
    group = dist.new_group(backend=SIMULATED if simulated else "gloo", timeout=timeout)
    assert isinstance(group, ProcessGroup), "every rank is a member"
    return group


@dataclass(frozen=True)
class SampleShard:
    """Which samples of each global batch a rank works on, whichever parameters it holds.

    Attributes:
        index, count: this rank works on part `index` of `count` disjoint parts.
        reporting_ranks: by part, the rank that reports its loss and accuracy; several ranks may work on one part.
    """

    index: int
    count: int
    reporting_ranks: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """This rank's place on a mesh of two axes, `dp` (replicas of the net) and `split` (ranks that share a replica).

    `split` is the inner axis: the ranks of a replica are neighbours, so that they share a node.

    Attributes:
        world: the ranks.
        split_size: ranks that share one replica.
        mesh: the device mesh with its process groups; None for one rank.
    """

    world: World
    split_size: int
    mesh: DeviceMesh | None

    @property
    def dp_size(self) -> int:
        return self.world.size // self.split_size

    @property
    def split_index(self) -> int:
        return self.world.rank % self.split_size

    @property
    def samples(self) -> SampleShard:
        """Replicas work on different samples, the ranks of a replica on the same."""
        reporting_ranks = tuple(range(0, self.world.size, self.split_size))
        return SampleShard(self.world.rank // self.split_size, self.dp_size, reporting_ranks)

    @property
    def dp_group(self) -> ProcessGroup:
        assert self.mesh is not None, "one rank has no group"
        return self.mesh["dp"].get_group()

    @property
    def split_group(self) -> ProcessGroup:
        assert self.mesh is not None, "one rank has no group"
        return self.mesh["split"].get_group()

    @property
    def groups(self) -> list[ProcessGroup]:
        return [] if self.mesh is None else [self.dp_group, self.split_group]

    def part(self, length: int) -> slice:
        """This rank's contiguous part of a dim that is cut over the ranks of a replica."""
        size = length // self.split_size
        return slice(self.split_index * size, (self.split_index + 1) * size)


@cache
def arrange(world: World, split_size: int = 1) -> Layout:
    """Arrange all ranks as world.size / split_size replicas. Collective at the first call with these arguments."""
    assert world.size % split_size == 0, "strategies check this first"
    mesh = None
    if world.size > 1:
        shape = (world.size // split_size, split_size)
        mesh = init_device_mesh(world.device.type, shape, mesh_dim_names=("dp", "split"))
    return Layout(world, split_size, mesh)
