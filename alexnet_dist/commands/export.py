"""`alexnet-dist export`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from alexnet_dist.commands import Command
from alexnet_dist.registry import commands


def run(flags: Sequence[str]) -> int:
    """Write a checkpoint's weights to a file for other programs."""
    parser = argparse.ArgumentParser("alexnet-dist export", description="A checkpoint's weights for other programs.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="a checkpoint, or the folder of a run")
    parser.add_argument("--format", default="safetensors", help="safetensors or torchvision [safetensors]")
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    arguments = parser.parse_args(flags)
    from alexnet_dist.training.export import export

    export(arguments.checkpoint, arguments.format, arguments.output)
    return 0


COMMAND = commands.register(Command("export", "a checkpoint's weights for other programs", run))
