"""Draws a start at random: a command, its flags and files, the environment, and how it is disturbed."""

import random
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from faults.pools import COMMANDS, FIELDS, FILES, FOLDERS, MOUNTED, ODD, SMALL, VARIABLES, YAML

ROOT = Path(__file__).parents[2]
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]
CLI = [sys.executable, "-m", "alexnet_dist"]
TRAIN = [sys.executable, str(ROOT / "launch/train.py")]
ENDLESS = ["--train.epochs", "1000000", "--train.max_steps", "1000000", "--train.evaluate", "false"]


@dataclass
class Start:
    """One start.

    Attributes:
        line: the command.
        kind: of it, for the judgement: a command's name.
        environment: changes; None unsets.
        run: directory of the run that is asked for, relative to the working folder; None: runs/NAME.
        output: a file that is asked for.
        may_write: folders, relative to the working folder, in which files may come and change.
        config: contents of own.yaml.
        signal, after: sent so many seconds after the start, or, where `after` is negative, after the first step.
        lines: the output's reader closes it after so many lines; None reads all.
        folder: where it is started, relative to the working folder.
    """

    line: list[str]
    kind: str
    environment: dict[str, str | None] = field(default_factory=dict)
    run: str | None = None
    output: str | None = None
    may_write: list[str] = field(default_factory=lambda: ["runs", "wandb"])
    config: bytes = b""
    signal: int | None = None
    after: float = 0.0
    lines: int | None = None
    folder: str = "."


def draw(chance: random.Random, deep: bool, mounts: bool) -> Start:
    """
    Args:
        deep: a training run that mostly reaches its ranks.
        mounts: whether there are mounted folders.
    """
    start = _draw_training(chance, mounts) if deep else _draw_any(chance, mounts)
    for _ in range(chance.choice([0, 0, 1, 1, 2] if deep else [0, 1, 1, 2, 4])):
        name = chance.choice(list(VARIABLES))
        start.environment[name] = chance.choice([None, *VARIABLES[name]])
    if all(start.environment.get(n) for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")):
        start.environment["MASTER_PORT"] = None  # one of several ranks would rightly wait for the others
    for name, below in (("WANDB_DIR", "wandb"), ("HOME", ".cache")):  # W&B's, where the user says so
        if folder := start.environment.get(name):
            start.may_write.append(
                {"relative": "relative", "missing/folder": "missing"}.get(folder, f"{folder}/{below}")
            )
    start.config = chance.choice(YAML)
    if mounts and chance.random() < 0.05:
        start.folder = "read-only"
    return start


def _draw_training(chance: random.Random, mounts: bool) -> Start:
    launch = [
        *CLI,
        "launch",
        "--max-restarts",
        chance.choice(["0", "1"]),
        "--ranks",
        chance.choice(["1", "2", "2"]),
        "--",
    ]
    kind, line = chance.choice([("train", [*CLI, "train"]), ("train", TRAIN), ("launch", launch)])
    start = Start([*line, *SMALL.split(), "--tracking.wandb", chance.choice(["false", "false", "true"])], kind)
    if chance.random() < 0.15:
        start.line += ["--config", "own.yaml"]
    for name in chance.sample(sorted(FIELDS), chance.choice([0, 1, 2, 3])):
        start.line += [f"--{name}", chance.choice(FIELDS[name])]
    _draw_folder(start, chance, mounts)
    match chance.randrange(4):
        case 0:
            start.line += ENDLESS
            start.signal, start.after = chance.choice(SIGNALS), -chance.random() - 0.01
        case 1:
            start.signal, start.after = chance.choice(SIGNALS), chance.random() * 8
        case 2:
            start.lines = chance.randrange(5)
    return start


def _draw_folder(start: Start, chance: random.Random, mounts: bool) -> None:
    """The run directory, and whether to go on in it or to delete it."""
    names = [name for name in FOLDERS if mounts or not name.startswith(MOUNTED)]
    name = chance.choice([None, *(name for name in names if FOLDERS[name]), chance.choice(names)])
    if name is not None:
        start.line += ["--run.dir", name]
        start.run = name
        start.may_write += filter(None, [FOLDERS[name]])
    for flag, values in (("--run.resume", ["auto", "run", "damaged", "own"]), ("--run.overwrite", ["true"])):
        if chance.random() < 0.2:
            start.line += [flag, chance.choice(values)]


def _draw_any(chance: random.Random, mounts: bool) -> Start:
    """Any command, with flags of which most make no sense."""
    lines = [line.split(maxsplit=1) for line in COMMANDS.strip().splitlines()]
    (line,) = chance.choices([words for _, words in lines], [int(weight) for weight, _ in lines])
    words = line.replace("EXPERIMENT", f"{SMALL} --tracking.wandb false").split()
    start = Start([*CLI, *(chance.choice(FILES) if word == "FILE" else word for word in words)], words[0])
    if words[0] in ("train", "doctor"):
        _draw_folder(start, chance, mounts)
    start.line += _mixture(chance)
    if "--output" in start.line[:-1]:
        start.output = start.line[start.line.index("--output") + 1]
        start.may_write.append(start.output)
    if chance.random() < 0.05:
        start.signal, start.after = chance.choice(SIGNALS), chance.random() * 0.6
    return start


def _mixture(chance: random.Random) -> list[str]:
    """Flags that are right, wrong, mistyped, or lack something."""
    words: list[str] = []
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        name = chance.choice(sorted(FIELDS))
        value = chance.choice([*FIELDS[name], *chance.sample(ODD, 4)])
        forms = [[f"--{name}", value], [f"--{name}={value}"], [f"--{_mistyped(name, chance)}", value], [f"--{name}"]]
        words += chance.choice([*forms, [value]])
    return words


def _mistyped(name: str, chance: random.Random) -> str:
    at = chance.randrange(len(name))
    return chance.choice([name[:at] + name[at + 1 :], name.upper(), name.replace(".", ""), f"{name}.x", name + "é"])
