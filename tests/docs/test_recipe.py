"""docs/recipe.md: the hour of photographs by the page's own commands, in a short form; the rest is read."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import preloaded
import pytest
from conftest import ROOT
from PIL import Image
from run_records import metrics_of

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.data.fetch.debian import LICENCES
from alexnet_dist.data.fetch.tiles import tiles

PAGE = (ROOT / "docs/recipe.md").read_text()
SHORT = ["--train.max_steps", "2", "--train.evaluate_samples", "20", "--tracking.wandb", "false"]
SIDE = 128


@pytest.fixture
def cut(photographs: Path, tmp_path: Path) -> Path:
    """Tiles as `data fetch tiles` leaves them, of three photographs instead of 45."""
    folder = tmp_path / "tiles"
    for path in sorted((photographs / "animals/erase").glob("*.webp"))[:3]:
        (folder / path.stem).mkdir(parents=True)
        with Image.open(path) as image:
            for row, column, tile in tiles(image.convert("RGB"), SIDE):
                tile.save(folder / path.stem / f"{path.stem}-{row:02d}-{column:02d}.jpg", quality=95, subsampling=0)
    (folder / LICENCES).touch()
    return folder


def test_an_hour_of_photographs_in_short(cut: Path, tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    section = PAGE.partition("## An hour of photographs")[2]
    lines = re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[0].splitlines()
    assert [line.split()[1] for line in lines] == [
        "data", "data", "train", "filters", "evaluate", "evaluate", "launch",
    ]  # fmt: skip
    told = {}
    for number, line in enumerate(lines):
        _, command, *flags = shlex.split(line)
        if command == "launch":  # preloaded ranks start sooner than the launcher's
            program = [str(ROOT / "launch/train.py"), *flags[flags.index("--") + 1 :], *SHORT, "--run.dir", "split"]
            done = preloaded.run(program, ranks=2)
        else:
            done = preloaded.command(command, *flags, *(SHORT if command == "train" else []))
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        told[number] = done.stdout
    assert np.asarray(Image.open("kernels.png")).shape[:2] == (440, 1124)  # two towers of three rows of sixteen
    towers = re.findall(r"^tower (\d): [\d.]+% of a kernel's energy is colour", told[3], re.MULTILINE)
    assert towers == ["1", "2"]
    views = [re.search(r"loss ([\d.]+)", told[number]) for number in (4, 5)]
    assert views[0] and views[1] and views[0][1] != views[1][1]
    assert [path.name for path in Path("runs/photographs/filters").iterdir()] == ["step-000000002.png"]
    losses = [[step["loss"] for step in metrics_of(Path(run))] for run in ("runs/photographs", "split")]
    assert len(losses[0]) == 2 and losses[0] == pytest.approx(losses[1], rel=0.02)  # bf16


def recipe(*flags: str) -> dict[str, Any]:
    return resolve(load(["--config", str(ROOT / "configs/imagenet_2012.yaml"), *flags]), 1).model_dump()


def test_the_table_says_what_the_configuration_has() -> None:
    found, section = recipe(), PAGE.partition("## Each number")[2].partition("\n## ")[0]
    values = re.findall(r"`(\w+)\.(\w+): ([^`]+)`", section)
    assert len(values) > 10
    for group, field, value in values:
        assert recipe(f"--{group}.{field}", value) == found, f"{group}.{field}"  # it is so already
    assert all(field in found[group] for group, field in re.findall(r"`(net|data|optim|train)\.(\w+)", section))


def test_each_ablation_is_one_flag() -> None:
    section = PAGE.partition("## What the paper took away")[2].partition("\n## ")[0]
    flags = [shlex.split(words) for words in re.findall(r"`(--[a-z]+\.[^`]+)`", section)]
    assert len(flags) == 8
    whole = recipe()
    for name, value in flags:
        other, (group, field) = recipe(name, value), name.removeprefix("--").split(".")
        assert other[group][field] != whole[group][field]
        assert {key: other[key] for key in other if key != group} == {key: whole[key] for key in whole if key != group}
