"""Measures the ways to load images that `bench.loaders` has, in turn, on the same files."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from alexnet_dist.bench.loaders import Rates
from alexnet_dist.data.fetch.photographs import fetch
from alexnet_dist.data.imagenet.index import Encoding
from alexnet_dist.data.imagenet.layouts import find_layout
from alexnet_dist.data.imagenet.listing import list_images
from alexnet_dist.data.imagenet.prepare import Preparation
from alexnet_dist.errors import RunFailed
from alexnet_dist.temporary import temporary_folder

# ILSVRC's median height and width, and the JPEG quality at which photographs of that size have its mean of 110 kB.
WIDTH, HEIGHT, QUALITY = 500, 375, 98
USUAL = "the usual loader"


@dataclass(frozen=True)
class LoaderCase:
    """A way to load images that is measured.

    Attributes:
        program: of `bench.loaders`.
        data: "files", "jpeg" or "raw".
        images: measured in a round.
    """

    name: str
    program: str
    data: str
    images: int


CASES = (
    LoaderCase(USUAL, "usual", "files", 1_500),
    LoaderCase("JPEG files, random resized crops", "files", "files", 2_500),
    LoaderCase("prepared JPEG, q90 4:2:0, random crops", "prepared", "jpeg", 12_000),
    LoaderCase("prepared raw, random crops", "prepared", "raw", 60_000),
)
# Processes that load at the same time, and their cores. What two processes reach is what the machine allows: they share
# no lock.
PROCESSES = {"one core": [[0]], "two cores": [[0, 1]], "two processes": [[0], [1]]}

Measured = Mapping[tuple[str, str], Sequence[Rates]]  # by case and `PROCESSES`, a round each


def measure_loaders(root: str | None, rounds: int, ways: Sequence[str], progress: Callable[[str], None]) -> Measured:
    """Measure all cases.

    Args:
        root: a folder with a folder of JPEG files for each class; None takes photographs, made as large as ILSVRC's.
        ways: of `PROCESSES`.
        progress: called with a line of text before each run.

    Raises:
        UsageError: the images are missing.
        RunFailed: a program failed.
    """
    found: dict[tuple[str, str], list[Rates]] = {(case.name, way): [] for case in CASES for way in ways}
    with temporary_folder("alexnet-bench-") as work:
        progress("preparing")
        folders = {"files": _typical_files(work / "files") if root is None else Path(root).expanduser()}
        for kind in ("jpeg", "raw"):
            folders[kind] = _prepared(folders["files"], work / kind, kind)
        for number in range(rounds):
            for case in CASES if number % 2 == 0 else reversed(CASES):
                for way in ways:
                    progress(f"{case.name}, {way}")
                    found[case.name, way].append(_run(case, folders[case.data], PROCESSES[way], work))
    return found


def multiples(measured: Measured, name: str) -> list[float]:
    """Of each round: a case's images per CPU second over the usual loader's, on one core."""
    pairs = zip(measured[name, "one core"], measured[USUAL, "one core"], strict=True)
    return [ours.cpu / usual.cpu for ours, usual in pairs]


def scaling(measured: Measured, name: str, way: str) -> float:
    """Images per second of wall time over those on one core; of each the best, least disturbed round."""
    best, alone = (max(rates.wall for rates in measured[name, each]) for each in (way, "one core"))
    return best / alone


def median(rates: Sequence[Rates]) -> float:
    """Images per CPU second."""
    return statistics.median(each.cpu for each in rates)


def _typical_files(folder: Path) -> Path:
    for path in sorted(fetch(None).glob("*/*/**/*.webp")):
        with Image.open(path) as image:
            if min(image.size) < HEIGHT or max(image.size) < WIDTH:
                continue
            size = (WIDTH, HEIGHT) if image.width >= image.height else (HEIGHT, WIDTH)
            fitted = ImageOps.fit(image.convert("RGB"), size)
        target = folder / path.parts[-3] / f"{path.parent.name}-{path.stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        fitted.save(target, quality=QUALITY, subsampling=2)
    return folder


def _prepared(source: Path, target: Path, kind: str) -> Path:
    encoding = Encoding.of("raw" if kind == "raw" else "jpeg")
    Preparation(list_images(find_layout(source)), target, encoding, 4096, 2, refuse=False).run(lambda done: None)
    return target


def _run(case: LoaderCase, root: Path, processes: Sequence[Sequence[int]], work: Path) -> Rates:
    """Load a case with several processes at once: the sum of their rates by the clock, the mean of those by CPU time.

    Args:
        processes: the cores of each.
    """
    outputs = [work / f"rates-{number}.json" for number in range(len(processes))]
    line = [sys.executable, "-m", "alexnet_dist.bench.loaders", case.program, "--root", str(root)]
    line += ["--images", str(case.images)]
    running = [
        subprocess.Popen(
            [*line, "--output", str(output), "--cores", *map(str, cores)], stderr=subprocess.PIPE, text=True
        )
        for cores, output in zip(processes, outputs, strict=True)
    ]
    errors = [process.communicate()[1] for process in running]
    for process, error in zip(running, errors, strict=True):
        if process.returncode:
            raise RunFailed(f"{case.name}: {' '.join(error.split())[-300:]}")
    rates = [Rates(**json.loads(output.read_text())) for output in outputs]
    return Rates(sum(each.wall for each in rates), statistics.mean(each.cpu for each in rates))
