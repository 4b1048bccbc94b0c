"""What is wrong with how a start ended."""

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from faults.drawing import Start
from faults.places import Place, Snapshot, changes

from alexnet_dist.errors import DONE, FAILED, INTERRUPTED, STOPPED, USAGE
from alexnet_dist.training.checkpoints import files

# A doctor and a prediction name each problem in a line of its own.
SEVERAL = ("doctor", "predict")
# Libraries leave what they like in these; nobody else's files are there.
LIBRARIES = ("home", "tmp")
# What they leave in a folder that a variable names for it.
CACHES = {"XDG_CACHE_HOME": "matplotlib", "TMPDIR": "torchinductor_*"}


@dataclass(frozen=True)
class End:
    """How a start ended.

    Attributes:
        code: negative: the signal that killed it.
        out, err: what it printed, as far as somebody read it.
        timed_out: it had to be killed.
    """

    code: int
    out: str
    err: str
    timed_out: bool

    @property
    def printed(self) -> str:
        return self.out + self.err


def findings(start: Start, end: End, place: Place, before: Snapshot, after: Snapshot) -> Iterator[str]:
    """What is wrong, one line each."""
    if end.timed_out:
        yield "hangs"
        return
    if "Traceback" in end.printed:
        yield "traceback: " + end.printed.strip().splitlines()[-1][:200]
    codes = [DONE, FAILED, USAGE, STOPPED, INTERRUPTED]
    if start.signal is not None:
        codes += [-start.signal]  # before it was handled
    if end.code not in codes:
        yield f"exit code {end.code}"
    if end.code == USAGE:
        yield from _refusal(start, end)
    yield from _touched(start, place, changes(before, after))
    folder = _run_folder(start, place, before, after)
    if folder is not None:
        yield from _run(start, end, folder, changed=changes(before, after))
    asked = start.output is not None and not start.output.startswith("~/") and "--help" not in start.line
    if end.code == DONE and asked and not (place.work / start.folder / str(start.output)).exists():
        yield f"exit code 0 without {start.output}"


def reached_ranks(end: End, before: Snapshot, after: Snapshot) -> bool:
    """Whether training began."""
    return "run directory: " in end.printed or any(path.endswith("/metrics.jsonl") for path in changes(before, after))


def _refusal(start: Start, end: End) -> Iterator[str]:
    """One line, at the end, with a field, what was given and what to do."""
    if start.lines is not None:
        return
    lines = [line for line in end.err.splitlines() if line.startswith("error: ")]
    if not lines or end.err.rstrip("\n").splitlines()[-1] != lines[-1]:
        yield f"exit code 2 without a reason as the last line: {end.err[-200:]!r}"
    if len(lines) > 1 and start.kind not in SEVERAL:
        yield f"{len(lines)} reasons"
    for line in lines:
        if not re.match(r"error: [^:]+(: .+){2,}", line) or len(line) > 1200:
            yield f"no field, value and remedy: {line[:200]}"


def _touched(start: Start, place: Place, changed: list[str]) -> Iterator[str]:
    """What came, went or changed outside the folders that the start may write to."""
    caches = list(_caches(start, place))
    own = [place.root / name for name in LIBRARIES] + [place.work / name for name in start.may_write] + caches
    for path in map(Path, changed):
        made_for_it = any(path in cache.parents for cache in caches)
        if not made_for_it and not any(path == folder or folder in path.parents for folder in own):
            yield f"touched {path.relative_to(place.root)}"


def _caches(start: Start, place: Place) -> Iterator[Path]:
    for variable, name in CACHES.items():
        if folder := start.environment.get(variable):
            yield from (place.work / start.folder / folder).glob(name)


def _run_folder(start: Start, place: Place, before: Snapshot, after: Snapshot) -> Path | None:
    """The directory of a run that this start has written to."""
    if start.kind not in ("train", "launch"):
        return None
    marks = [
        path for path in changes(before, after) if path.endswith(("/exit.json", "/metrics.jsonl", "/summary.json"))
    ]
    return Path(marks[0]).parent if marks else None


def _run(start: Start, end: End, folder: Path, changed: list[str]) -> Iterator[str]:
    """Whether what is on the disk agrees with the exit code."""
    ended = _json(folder / "exit.json")
    if end.code in (DONE, USAGE, STOPPED) and str(folder / "exit.json") in changed and ended.get("code") != end.code:
        yield f"exit code {end.code}, exit.json has {ended}"
    if end.code in (DONE, STOPPED) and ended.get("code") != end.code:
        yield f"exit code {end.code} and exit.json has {ended}"
    if end.code not in (DONE, STOPPED):
        return
    experiment = yaml.safe_load((folder / "config.yaml").read_text())
    every, last = experiment["checkpoint"]["every_steps"], files.candidates(folder / files.FOLDER)[:1]
    if last:
        files.verify(last[0])
    done = files.step_of(last[0]) if last else 0
    if end.code == STOPPED and f"after step {done}," not in ended["reason"]:
        yield f"stopped, the last checkpoint is of step {done}: {ended['reason']}"
    if end.code == DONE:
        summary = _json(folder / "summary.json")
        steps, train = summary.get("last_step", 0), experiment["train"]
        if not {"images_per_second", "eval", "train_loss", "versions"} <= summary.keys():
            yield "exit code 0 without a whole summary"
        if every and done != steps:
            yield f"exit code 0, {steps} steps, the last checkpoint is of step {done}"
        if train["evaluate"] and not summary.get("eval"):
            yield "exit code 0 without an evaluation"


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def name_of(number: int | None) -> str:
    return "" if number is None else signal.Signals(number).name
