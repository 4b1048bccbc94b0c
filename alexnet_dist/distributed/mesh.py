"""The mesh: how ranks are arranged on the axes `dp` (replicas) and `split` (towers)."""

from dataclasses import dataclass
from functools import cache

import torch
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh


@dataclass(frozen=True)
class World:
    """The ranks that really came up, before they are arranged.

    Attributes:
        rank, size: this process and how many there are.
        device: the one device of this rank.
        control: a gloo group over all ranks for small host-side messages; None for one rank.
    """

    rank: int
    size: int
    device: torch.device
    control: ProcessGroup | None


@dataclass(frozen=True)
class Layout:
    """This rank's place on a `dp` x `split` mesh.

    `split` is the inner axis: the ranks of one replica are neighbours, so a pair shares a node.

    Attributes:
        world: the ranks.
        split_size: ranks that share one replica of the net.
        mesh: the device mesh with its process groups; None for one rank.
    """

    world: World
    split_size: int
    mesh: DeviceMesh | None

    @property
    def dp_size(self) -> int:
        return self.world.size // self.split_size

    @property
    def dp_index(self) -> int:
        return self.world.rank // self.split_size

    @property
    def split_index(self) -> int:
        return self.world.rank % self.split_size

    @property
    def dp_group(self) -> ProcessGroup:
        assert self.mesh is not None, "one rank has no group"
        return self.mesh["dp"].get_group()

    @property
    def split_group(self) -> ProcessGroup:
        assert self.mesh is not None, "one rank has no group"
        return self.mesh["split"].get_group()

    def part(self, length: int) -> slice:
        """This rank's contiguous part of a dim that is cut over the towers."""
        share = length // self.split_size
        return slice(self.split_index * share, (self.split_index + 1) * share)


@cache
def arrange(world: World, split_size: int = 1) -> Layout:
    """Put all ranks on a mesh of world / split_size replicas. Collective the first time: every rank calls it."""
    assert world.size % split_size == 0, "strategies check this before they arrange"
    mesh = None
    if world.size > 1:
        shape = (world.size // split_size, split_size)
        mesh = init_device_mesh(world.device.type, shape, mesh_dim_names=("dp", "split"))
    return Layout(world, split_size, mesh)
