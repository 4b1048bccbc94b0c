"""`alexnet-dist data fetch`."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.schema import FilePath, Group, Role
from alexnet_dist.registry import commands

ABOUT = """Get Fashion-MNIST where it is missing.

alexnet-dist data fetch --root /scratch/fashion-mnist
"""


class DataFlags(Group):
    action: Annotated[Literal["fetch"], Role.ARGUMENT] = Field(description="what to do")
    root: FilePath | None = Field(
        None, description="folder; default: a usual place that has it, else ~/Datasets/FashionMNIST"
    )
    mirror: list[str] | None = Field(None, description="address of a folder with the files; may be repeated")


FLAGS = Flags(DataFlags)


def run(flags: Sequence[str]) -> int:
    """Fetch Fashion-MNIST where it is missing."""
    own, _ = FLAGS.split(flags)
    from alexnet_dist.data.fashion_mnist_download import fetch

    print(f"Fashion-MNIST is in {fetch(own.root, own.mirror)}")
    return 0


COMMAND = commands.register(Command("data", "fetch the images", run, FLAGS, ABOUT))
