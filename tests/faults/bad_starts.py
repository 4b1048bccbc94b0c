"""Starts the program badly, at random, and judges how it ends.

python tests/faults/bad_starts.py --count 2000 --every 3      every third is a training run, of which half come to train
python tests/faults/bad_starts.py --only 17 --every 3         one of them again, with what it printed

As root it has mounts of its own: small, full and read-only disks.
"""

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
from faults.drawing import CLI, Start, draw
from faults.judging import End, findings, name_of, reached_ranks
from faults.places import Place, make_place, snapshot
from faults.pools import SMALL
from faults.starting import READ_AT_START, Process, anew, forked

from alexnet_dist.launcher.processes import process_tree

PATIENCE_SECONDS = 300
MARK = "BAD_START"  # a variable by which what a start leaves behind is found


@dataclass(frozen=True)
class Judged:
    """A start, how it ended, and what is wrong with that."""

    number: int
    start: Start
    end: End
    reached: bool
    wrong: list[str]


def bad_starts(seed: int, numbers: Iterable[int], every: int, folder: Path) -> Iterator[Judged]:
    """
    Args:
        seed, numbers: of the starts; these two decide what each is.
        every: the how many-th start is a training run.
        folder: for the starts' files.
    """
    template, mounts = folder / "template", may_mount(folder)
    line = [*CLI, "train", *SMALL.split(), "--tracking.wandb", "false", "--run.dir", str(template)]
    subprocess.run(line, check=True, capture_output=True)
    for number in numbers:
        chance = random.Random(f"{seed} {number}")
        start = draw(chance, deep=number % every == 0, mounts=mounts)
        place = make_place(folder / str(number), template, chance, mounts)
        try:
            (place.work / "own.yaml").write_bytes(start.config)
            before = snapshot(place.root)
            end = run(start, place, str(number))
            after = snapshot(place.root)
            wrong = [*findings(start, end, place, before, after), *_left_behind(str(number))]
            yield Judged(number, start, end, reached_ranks(end, before, after), wrong)
        finally:
            place.remove()


def may_mount(folder: Path) -> bool:
    trial = folder / "trial"
    trial.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(trial)], capture_output=True, check=False)
    if done.returncode == 0:
        subprocess.run(["umount", str(trial)], check=True)
    trial.rmdir()
    return done.returncode == 0


def run(start: Start, place: Place, mark: str) -> End:
    """Start, disturb, and wait for the end."""
    out, err = place.root / "out", place.root / "err"
    out.touch()
    err.touch()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES") if name in os.environ}
    drawn: dict[str, str | None] = {
        **kept, "HOME": str(place.home), "TMPDIR": str(place.temporary), "WANDB_MODE": "offline", MARK: mark,
        "XDG_CACHE_HOME": str(Path.home() / ".cache"), "LANG": "C.UTF-8", **start.environment,
    }  # fmt: skip
    environment = {name: value for name, value in drawn.items() if value is not None}
    begin = anew if start.lines is not None or READ_AT_START & start.environment.keys() else forked
    process = begin(start.line, environment, place.work / start.folder, [out, err], start.lines is not None)
    try:
        _disturb(start, process, place)
        code, timed_out = process.wait(PATIENCE_SECONDS), False
    except subprocess.TimeoutExpired:
        code, timed_out = -1, True
        for child in process_tree(process.pid):
            child.kill()
        process.wait(PATIENCE_SECONDS)
    texts = [path.read_text(errors="replace") for path in (out, err)]
    out.unlink()
    err.unlink()
    return End(code, texts[0], texts[1], timed_out)


def _disturb(start: Start, process: Process, place: Place) -> None:
    if start.lines is not None:
        assert process.stdout is not None
        for _ in range(start.lines):
            process.stdout.readline()
        process.stdout.close()
    if start.signal is None:
        return
    deadline, before = time.monotonic() + PATIENCE_SECONDS, _lengths(place)
    while start.after < 0 and process.poll() is None and _lengths(place) == before:
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
    try:
        process.wait(abs(start.after))
    except subprocess.TimeoutExpired:
        process.send_signal(start.signal)


def _lengths(place: Place) -> dict[Path, int]:
    """Of the runs' metrics, which grow with each step."""
    return {path: path.stat().st_size for path in place.work.rglob("metrics.jsonl") if path.is_file()}


def _left_behind(mark: str) -> list[str]:
    """Processes that outlive a start; W&B's service takes a moment."""
    deadline = time.monotonic() + 20
    while left := [process for process in psutil.process_iter() if _has_mark(process, mark)]:
        if time.monotonic() > deadline:
            for process in left:
                process.kill()
            return [f"left behind: {shlex.join(process.cmdline())[:100]}" for process in left]
        time.sleep(0.1)
    return []


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:
        return False


def shown(judged: Judged) -> str:
    """A readable report: what was started, how it ended, and what is wrong."""
    start, changes = judged.start, judged.start.environment.items()
    words = [f"{name}={shlex.quote(value)}" if value is not None else f"-u {name}" for name, value in changes]
    how = (
        f"{name_of(start.signal)} {start.after:.1f}" if start.signal else f"head -{start.lines}" if start.lines else ""
    )
    line = " ".join(word if len(word) < 80 else f"{word[:20]}…" for word in start.line[1:])
    return f"{judged.number}: [{judged.end.code}] {' '.join(words)} {line} {how}".replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--only", type=int)
    given = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup makes this program and its children ignore it
    numbers = range(given.first, given.first + given.count) if given.only is None else [given.only]
    codes, wrong, reached = Counter[int](), 0, 0
    with tempfile.TemporaryDirectory(prefix="bad-starts-") as folder:
        for judged in bad_starts(given.seed, numbers, given.every, Path(folder)):
            codes[judged.end.code] += 1
            reached += judged.reached
            wrong += bool(judged.wrong)
            print(shown(judged), *(f"    WRONG: {line}" for line in judged.wrong), sep="\n", flush=True)
            if given.only is not None:
                print(judged.end.printed)
    print(f"{sum(codes.values())} starts, {reached} reached their ranks, {wrong} ended wrongly; {dict(codes)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
