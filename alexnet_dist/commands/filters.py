"""`alexnet-dist filters`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.output import check_output, new_file
from alexnet_dist.config.values import FilePath, Group, Role
from alexnet_dist.errors import DONE, UsageError
from alexnet_dist.registry import commands

ABOUT = """The first layer's kernels as a picture (Figure 3 of the paper), and how much of them is colour.

alexnet-dist filters runs/NAME --output filters.png
"""


class FiltersFlags(Group):
    checkpoint: Annotated[FilePath, Role.ARGUMENT] = Field(description="a checkpoint, or the directory of a run")
    output: FilePath = Field("filters.png", min_length=1, description="the picture's file, PNG")


FLAGS = Flags(FiltersFlags)


def run(flags: Sequence[str]) -> int:
    """Write the picture and print each tower's colour.

    Raises:
        UsageError: there is no checkpoint, its kernels are neither grey nor RGB, or the file cannot be written.
    """
    own, _ = FLAGS.split(flags)
    checkpoint, output = Path(own.checkpoint), Path(own.output)
    if output.suffix.lower() != ".png":
        raise UsageError("--output", output, "the picture is a PNG: name the file .png")
    check_output(output)
    from alexnet_dist.nets.filters import colour_by_tower, picture
    from alexnet_dist.training.trained_net import load_trained_net

    trained = load_trained_net(checkpoint)
    table, kernels = trained.net.table, trained.net.get_parameter("conv1.weight").detach()
    if table.channels not in (1, 3):
        raise UsageError("CHECKPOINT", checkpoint, f"its kernels have {table.channels} channels: a picture has 1 or 3")
    with new_file(output) as path:
        picture(kernels, table.towers).save(path, "PNG")
    print(f"{output}: {len(kernels)} kernels after step {trained.step}")
    if table.channels == 3:
        for tower, (mean, deviation) in enumerate(colour_by_tower(kernels, table.towers), 1):
            print(f"tower {tower}: {mean:.1%} of a kernel's energy is colour (deviation {deviation:.1%})")
    return DONE


COMMAND = commands.register(Command("filters", "the first layer's kernels, and their colour", run, FLAGS, ABOUT))
