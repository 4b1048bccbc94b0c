"""A table of finished runs, from what they recorded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from alexnet_dist.errors import UsageError

COLUMNS = ("run", "ranks", "images/s", "s/step", "MB sent", "GiB", "loss", "top-1", "of images")


def show(folders: Sequence[Path]) -> int:
    """Print one row a run: throughput, median step, bytes sent per rank and step, peak memory of the fullest rank,
    last training loss, accuracy and the number of test images it was taken on.

    Raises:
        UsageError: a folder holds no summary.
    """
    summaries = [(folder.name, _summary(folder)) for folder in folders]
    table = Table(title=_title([summary for _, summary in summaries]))
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "run" else "right", no_wrap=True)
    for name, summary in summaries:
        try:
            table.add_row(name, *_cells(summary))
        except (KeyError, TypeError) as error:
            raise UsageError("summary.json", name, f"is not one of this program's ({error} is missing)") from None
    # Wide enough for the columns also where nobody watches.
    Console(width=None if Console().is_terminal else 100).print(table)
    return 0


def _summary(folder: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        raise UsageError("run folder", folder, "holds no finished run (no summary.json)") from None
    return summary


def _title(summaries: Sequence[dict[str, Any]]) -> str:
    facts = {(s["net"], s["precision"], f"global batch {s['global_batch']}", s["device_names"][0]) for s in summaries}
    return ", ".join(facts.pop()) if len(facts) == 1 else "runs that differ in net, precision, batch or device"


def _cells(summary: dict[str, Any]) -> list[str]:
    sent = sum(summary["comm_bytes_per_step"]["counted"].values())
    accuracy = summary["eval"]
    return [
        str(summary["world_size"]),
        f"{summary['images_per_second']:.1f}",
        f"{summary['step_seconds']['median']:.3f}",
        f"{sent / 1e6:.1f}",
        f"{max(summary['peak_memory_bytes']) / 2**30:.2f}",
        f"{summary['train_loss']:.4f}",
        *(("-", "-") if accuracy is None else (f"{accuracy['top1']:.1%}", f"{accuracy['unique_samples']:,}")),
    ]
