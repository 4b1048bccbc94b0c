"""Every strategy resumes from every other's checkpoint as from its own."""

import json
from pathlib import Path

import preloaded
from long_forms import LONG
from parity_cases import SMALL

PROGRAM = Path(__file__).with_name("cross_loading.py")
FLAGS = [*SMALL["small"], "--data.name", "synthetic", "--data.samples", "64", "--train.global_batch", "12"]
MODULES, SHARDED = ["ddp", "split"], ["zero1", "zero2", "zero3", "fsdp"]


def cross(folder: Path, ranks: int, savers: list[str], loaders: list[str], sources: list[str]) -> None:
    """Bits survive, evaluation is the same, and the next steps are those of the run that was never stopped."""
    program = [str(PROGRAM), str(folder), ",".join(savers), ",".join(loaders), ",".join(sources), *FLAGS]
    done = preloaded.run(program, ranks=ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    crossed = [json.loads(text[8:]) for text in done.stdout.splitlines() if text.startswith("CROSSED ")]
    assert [(source, loader) for source, loader, *_ in crossed] == [(s, ld) for ld in loaders for s in sources]
    for source, loader, loaded, evaluated, final in crossed:
        assert loaded == 0.0, f"{loader} of {source}"
        assert evaluated < 1e-6, f"{loader} of {source}: {evaluated}"
        assert final < 1e-5, f"{loader} of {source}: {final}"


def test_every_pair(tmp_path: Path) -> None:
    everyone = [*MODULES, *SHARDED]
    cross(tmp_path, 1, ["single"], [], [])
    if LONG:
        cross(tmp_path, 2, everyone, everyone, ["single", *everyone])
    else:
        cross(tmp_path, 2, everyone, SHARDED, ["single", "split"])
        cross(tmp_path, 2, [], MODULES, ["single", *MODULES, "zero3"])
    cross(tmp_path, 1, [], ["single"], everyone)
    cross(tmp_path, 4, [], ["split"], ["ddp", "split", "zero3"])
    cross(tmp_path, 3, [], ["zero1", "zero3", "fsdp"], ["single", "zero3"])
