"""`alexnet-dist evaluate` of a checkpoint that the last rank finds deleted before it is read, or all in the middle."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alexnet_dist.cli import main
from alexnet_dist.training.checkpoints import reader
from alexnet_dist.training.checkpoints.files import Manifest

first_undamaged, open_checkpoint = reader.first_undamaged, reader._open
RANK, RANKS = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))


def find_deleted(paths: list[Path], say: Callable[[str], None]) -> tuple[Path, Manifest]:
    return Path("deleted"), first_undamaged(paths, say)[1]


def open_and_delete(path: Path) -> Any:
    opened = None if when == "during" else open_checkpoint(path)
    if RANK == 0:
        for file in path.glob("*.safetensors"):
            file.unlink()
    return opened or open_checkpoint(path)


when, *flags = sys.argv[1:]
if when == "before" and RANK == RANKS - 1:
    reader.first_undamaged = find_deleted
if when in ("during", "between"):  # reading its headers, or these and its tensors
    reader._open = open_and_delete
sys.exit(main(["evaluate", *flags]))
