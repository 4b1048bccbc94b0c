"""`alexnet-dist data fetch`."""

import argparse
from collections.abc import Sequence

from alexnet_dist.commands import Command
from alexnet_dist.registry import commands


def run(flags: Sequence[str]) -> int:
    """Fetch Fashion-MNIST where it is missing."""
    parser = argparse.ArgumentParser("alexnet-dist data", description="Get Fashion-MNIST where it is missing.")
    parser.add_argument("action", choices=["fetch"])
    parser.add_argument("--root", help="folder; default: a usual place that has it, else ~/Datasets/FashionMNIST")
    parser.add_argument("--mirror", action="append", help="address of a folder with the files; may be repeated")
    arguments = parser.parse_args(flags)
    from alexnet_dist.data.fashion_mnist_download import fetch

    print(f"Fashion-MNIST is in {fetch(arguments.root, arguments.mirror)}")
    return 0


COMMAND = commands.register(Command("data", "fetch the images", run))
