"""Ranks that are killed, die, or hang: the job ends soon with the first cause, and nothing of it is lost.

The long form of the kill test (50 kills) runs with ALEXNET_DIST_KILLS=50.
"""

import json
import os
import random
import time
from pathlib import Path

import pytest
import torch
from conftest import SMOKE

from alexnet_dist.data.order import fingerprint
from runs import Launched, checkpoint, same_bits, start

pytestmark = pytest.mark.usefixtures("fashion_mnist")
KILLS = int(os.environ.get("ALEXNET_DIST_KILLS", "6"))
STRATEGIES = [(1, "single"), (2, "ddp"), (2, "split")]
SAMPLES, EPOCHS = 640, 30
# Three hundred short steps, a checkpoint every 25: there is always one being written.
FLAGS = [
    *SMOKE, "--data.name", "synthetic", "--data.samples", str(SAMPLES), "--tracking.wandb", "false",
    "--train.evaluate", "false", "--train.max_steps", str(10 * EPOCHS), "--train.epochs", str(EPOCHS),
    "--checkpoint.every_steps", "25",
]  # fmt: skip


@pytest.mark.parametrize("ranks, strategy", STRATEGIES)
def test_killed_again_and_again_a_run_ends_as_if_it_had_never_been(ranks: int, strategy: str, tmp_path: Path) -> None:
    flags = [*FLAGS, "--strategy.name", strategy]
    undisturbed = start(tmp_path / "undisturbed", ranks, flags)
    assert undisturbed.end()[0] == 0, undisturbed.output.read_text()
    kills, chance = KILLS // len(STRATEGIES) or 1, random.Random(strategy)
    run = start(tmp_path / "run", ranks, flags, ["--max-restarts", str(kills)])
    for _ in range(kills):
        kill_one(run, chance)
    code, lines = run.end()
    assert code == 0, "\n".join(lines)
    assert sum(line.startswith("restart ") for line in lines) == kills
    last = 10 * EPOCHS
    assert same_bits(checkpoint(run.folder, last), checkpoint(undisturbed.folder, last))
    assert every_sample_once_an_epoch(run.folder)


def kill_one(run: Launched, chance: random.Random) -> None:
    """SIGKILL for a random rank at a random moment of its training: in a step, in a write, in between."""
    before = run.steps()
    run.wait_until(lambda: len(run.ranks()) == len_of(run) and run.steps() > before)
    time.sleep(chance.random() * 0.5)
    victims = run.ranks()
    if victims:
        chance.choice(victims).kill()
    run.wait(lambda: not any(victim.is_running() for victim in victims))


def len_of(run: Launched) -> int:
    return int(run.process.args[run.process.args.index("--ranks") + 1])


def every_sample_once_an_epoch(folder: Path) -> bool:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    all_of_them = fingerprint(torch.arange(SAMPLES))
    epochs = {line["epoch"] for line in lines}
    return epochs == set(range(EPOCHS)) and all(
        sum(line["sample_fingerprint"] for line in lines if line["epoch"] == epoch) == all_of_them for epoch in epochs
    )
