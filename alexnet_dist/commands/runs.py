"""`alexnet-dist runs`: finished runs side by side, from their summaries, and the settings in which they differ."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import read_file
from alexnet_dist.config.plain_yaml import one_line
from alexnet_dist.config.values import FilePath, Group, Role
from alexnet_dist.costs.units import loss_text, three_digits
from alexnet_dist.errors import DONE, UsageError, reason_of, refusing
from alexnet_dist.registry import commands
from alexnet_dist.telemetry.run_files import CONFIG, SUMMARY, read_summary

COLUMNS = ("run", "ranks", "parameters", "images/s", "s/step", "sent/step", "GiB", "loss", "top-1", "of images")
OF_THE_FOLDER = ("run.name", "run.dir", "run.resume", "run.overwrite")  # they differ without changing the training
ABOUT = """Finished runs side by side, and the settings in which they differ.

alexnet-dist runs runs/alexnet_small-ddp runs/alexnet_small-split
"""


class RunsFlags(Group):
    folder: Annotated[list[FilePath], Role.ARGUMENT] = Field(
        min_length=1, description="a run's own directory, such as runs/alexnet_small-ddp"
    )


FLAGS = Flags(RunsFlags)


def run(flags: Sequence[str]) -> int:
    """Print one row per run: throughput, median step, bytes sent per rank and step, peak memory of the rank with the
    most, last training loss, accuracy, and the number of test images it was measured on; then the settings that differ.

    Raises:
        UsageError: a folder cannot be read, or holds files of another program or, after the table of the others, no
            finished run.
    """
    found = {folder: _summary(folder) for folder in map(Path, FLAGS.split(flags)[0].folder)}
    finished = {folder: summary for folder, summary in found.items() if summary is not None}
    if finished:
        _print_runs(list(finished), list(finished.values()))
    if missing := [str(folder) for folder in found if folder not in finished]:
        below = [folder for folder in missing if any(Path(folder).glob(f"*/{SUMMARY}"))]
        remedy = f"; there are some in {below[0]}/*" if below else ""
        raise UsageError("run directory", ", ".join(missing), f"no finished run there (no {SUMMARY}){remedy}")
    return DONE


def _summary(folder: Path) -> dict[str, Any] | None:
    """A run's summary; None where no run has finished.

    Raises:
        UsageError: it cannot be read, which `read_summary` takes for missing.
    """
    with refusing("run directory", folder), suppress(FileNotFoundError, NotADirectoryError):
        (folder / SUMMARY).open().close()
    return read_summary(folder)


def _print_runs(folders: Sequence[Path], summaries: Sequence[dict[str, Any]]) -> None:
    names = _names(folders)
    rows = [[name, *_cells(name, summary)] for name, summary in zip(names, summaries, strict=True)]
    differing = _differences({name: _settings(folder) for name, folder in zip(names, folders, strict=True)})
    _print(_title(summaries), COLUMNS, rows, right_from=1)
    if differing:
        _print("settings that differ", ("setting", "value", "runs"), differing, right_from=3)
    elif len(folders) > 1:
        print("all settings are the same")


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names; their whole paths where two have the same name."""
    names = [folder.absolute().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _settings(folder: Path) -> dict[str, str]:
    """By dotted field, as text."""
    if not (folder / CONFIG).is_file():
        raise UsageError("run directory", folder, f"holds no settings (no {CONFIG})")
    groups = read_file(str(folder / CONFIG))
    if not groups:
        raise UsageError("run directory", folder, f"its {CONFIG} is empty: it was cut short, or changed")
    return {f"{group}.{field}": one_line(value) for group, fields in groups.items() for field, value in fields.items()}


def _differences(runs: Mapping[str, Mapping[str, str]]) -> list[list[str]]:
    """A row for each value of each setting that the runs do not share: the setting, the value, and who has it."""
    rows = []
    for field in dict.fromkeys(field for settings in runs.values() for field in settings):
        owners: dict[str, list[str]] = {}
        for name, settings in runs.items():
            owners.setdefault(settings.get(field, "-"), []).append(name)
        if len(owners) > 1 and field not in OF_THE_FOLDER:
            rows += [[field, value, ", ".join(names)] for value, names in owners.items()]
    return rows


def _title(summaries: Sequence[dict[str, Any]]) -> str:
    settings = {
        f"{s['net']}, {s['precision']}, global batch {s['global_batch']}, {s['device_names'][0]}" for s in summaries
    }
    return settings.pop() if len(settings) == 1 else "runs that differ in net, precision, batch or device"


def _cells(name: str, summary: dict[str, Any]) -> list[str]:
    try:
        sent, accuracy = sum(summary["comm_bytes_per_step"]["counted"].values()), summary["eval"]
        return [
            str(summary["world_size"]),
            three_digits(summary["parameters"]),
            _number(summary["images_per_second"], ".1f"),
            _number((summary["step_seconds"] or {"median": None})["median"], ".3f"),
            three_digits(sent, "B"),
            f"{max(summary['peak_memory_bytes']) / 2**30:.2f}",
            "-" if summary["train_loss"] is None else loss_text(summary["train_loss"]),
            *(("-", "-") if accuracy is None else (f"{accuracy['top1']:.1%}", f"{accuracy['unique_samples']:,}")),
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(SUMMARY, name, f"is not one of this program's ({reason_of(error)})") from None


def _number(value: float | None, form: str) -> str:
    """A run of one step has no throughput, and one that diverged no loss."""
    return "-" if value is None else format(value, form)


def _print(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], right_from: int) -> None:
    """Print a table whose columns from one on are numbers; long cells are folded."""
    from rich.markup import escape
    from rich.table import Table

    from alexnet_dist.telemetry.console import new_console

    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number >= right_from else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    new_console().print(table)


COMMAND = commands.register(
    Command("runs", "finished runs side by side, and how their settings differ", run, FLAGS, ABOUT)
)
