"""`alexnet-dist export`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.output import format_of
from alexnet_dist.config.values import FilePath, Group
from alexnet_dist.errors import DONE
from alexnet_dist.registry import commands
from alexnet_dist.training.export import export

ABOUT = """A checkpoint's weights for other programs, written and then checked against the net.

alexnet-dist export --checkpoint runs/NAME --output weights.safetensors
"""
ENDINGS = {".safetensors": "safetensors", ".onnx": "onnx", ".pt": "torchvision", ".pth": "torchvision"}


class ExportFlags(Group):
    checkpoint: FilePath = Field(description="a checkpoint, or the directory of a run")
    format: Literal["safetensors", "torchvision", "onnx"] | None = Field(
        None,
        description="default: onnx for .onnx, torchvision for .pt and .pth, safetensors for .safetensors and no ending",
    )
    output: FilePath = Field(description="the file to write, which must not exist")


FLAGS = Flags(ExportFlags)


def run(flags: Sequence[str]) -> int:
    """Write a checkpoint's weights to a file for other programs."""
    own, _ = FLAGS.split(flags)
    output = Path(own.output)
    export(Path(own.checkpoint), own.format or format_of(output, ENDINGS, "safetensors"), output)
    return DONE


COMMAND = commands.register(Command("export", "a checkpoint's weights for other programs", run, FLAGS, ABOUT))
