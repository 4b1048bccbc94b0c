"""`alexnet-dist runs`: a table of finished runs, from their summaries."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alexnet_dist.commands import Command
from alexnet_dist.errors import DONE, UsageError
from alexnet_dist.registry import commands
from alexnet_dist.telemetry.run_files import SUMMARY, read_json

COLUMNS = ("run", "ranks", "images/s", "s/step", "MB sent", "GiB", "loss", "top-1", "of images")
WIDTH = 100


def run(flags: Sequence[str]) -> int:
    """Print one row per run: throughput, median step, bytes sent per rank and step, peak memory of the rank with the
    most, last training loss, accuracy, and the number of test images it was measured on.

    Raises:
        UsageError: a folder holds no summary, or one that lacks these figures.
    """
    parser = argparse.ArgumentParser("alexnet-dist runs", description="A table of finished runs.")
    parser.add_argument("folder", nargs="+", type=Path, help="a run's own folder, such as runs/alexnet_small-ddp")
    folders: list[Path] = parser.parse_args(flags).folder
    from rich.console import Console
    from rich.table import Table

    summaries = [_summary(folder) for folder in folders]
    rows = [[folder.name, *_cells(folder, summary)] for folder, summary in zip(folders, summaries, strict=True)]
    table = Table(title=_title(summaries))
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "run" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else WIDTH).print(table)
    return DONE


def _summary(folder: Path) -> dict[str, Any]:
    summary = read_json(folder / SUMMARY)
    if summary is None:
        raise UsageError("run folder", folder, f"holds no finished run (no {SUMMARY})")
    return summary


def _title(summaries: Sequence[dict[str, Any]]) -> str:
    settings = {
        f"{s['net']}, {s['precision']}, global batch {s['global_batch']}, {s['device_names'][0]}" for s in summaries
    }
    return settings.pop() if len(settings) == 1 else "runs that differ in net, precision, batch or device"


def _cells(folder: Path, summary: dict[str, Any]) -> list[str]:
    try:
        sent, accuracy = sum(summary["comm_bytes_per_step"]["counted"].values()), summary["eval"]
        return [
            str(summary["world_size"]),
            f"{summary['images_per_second']:.1f}",
            f"{summary['step_seconds']['median']:.3f}",
            f"{sent / 1e6:.1f}",
            f"{max(summary['peak_memory_bytes']) / 2**30:.2f}",
            f"{summary['train_loss']:.4f}",
            *(("-", "-") if accuracy is None else (f"{accuracy['top1']:.1%}", f"{accuracy['unique_samples']:,}")),
        ]
    except (KeyError, TypeError) as error:
        raise UsageError(SUMMARY, folder.name, f"is not one of this program's ({error} is missing)") from None


COMMAND = commands.register(Command("runs", "a table of finished runs", run))
