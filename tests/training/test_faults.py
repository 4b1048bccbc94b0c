"""Ranks that are killed, die, or hang: the job ends soon with the first cause, and nothing of it is lost.

The long form of the kill test has more kills and all strategies.
"""

import random
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SMOKE, train_in
from launched import Launched, checkpoint, same_bits, start, start_line
from long_forms import LONG, LONG_FORM
from run_records import metrics_of

from alexnet_dist.data.order import fingerprint

pytestmark = pytest.mark.usefixtures("fashion_mnist")
KILLS = 17 if LONG else 1
CASES = [
    ("split", 2, KILLS),
    pytest.param("single", 1, KILLS, marks=LONG_FORM),
    pytest.param("ddp", 2, KILLS, marks=LONG_FORM),
    *(pytest.param(engine, 2, 3, marks=LONG_FORM) for engine in ("zero1", "zero2", "zero3", "fsdp")),
]
# A kill may come 60 steps after the checkpoint before it.
SAMPLES, EPOCHS = 640, 10 + 6 * KILLS
# Many short steps, a checkpoint every 25: there is always one being written.
FLAGS = [
    *SMOKE, "--data.name", "synthetic", "--data.samples", str(SAMPLES), "--tracking.wandb", "false",
    "--train.evaluate", "false", "--train.max_steps", str(10 * EPOCHS), "--train.epochs", str(EPOCHS),
    "--checkpoint.every_steps", "25",
]  # fmt: skip


@pytest.mark.parametrize("strategy, ranks, kills", CASES)
def test_killed_again_and_again_a_run_ends_as_if_it_had_never_been(
    strategy: str, ranks: int, kills: int, tmp_path: Path
) -> None:
    flags = [*FLAGS, "--strategy.name", strategy]
    undisturbed = train_in(tmp_path / "undisturbed", flags, ranks)
    assert undisturbed.code == 0, undisturbed.output
    chance = random.Random(strategy)
    run = start(tmp_path / "run", ranks, flags, ["--max-restarts", str(kills)])
    made = sum(kill_one(run, chance) for _ in range(kills))
    code, lines = run.end()
    assert code == 0, "\n".join(lines)
    assert sum(line.startswith("restart ") for line in lines) == made > kills // 2
    last = 10 * EPOCHS
    assert same_bits(checkpoint(run.folder, last), checkpoint(undisturbed.folder, last))
    assert every_sample_once_an_epoch(run.folder)


def kill_one(run: Launched, chance: random.Random) -> bool:
    """SIGKILL for a random rank at a random moment of its training: in a step, in a write, in between.

    Returns:
        Whether there was one to kill just then.
    """
    before = run.steps()
    run.wait_until(lambda: len(run.ranks()) == len_of(run) and run.steps() > before)
    time.sleep(chance.random() * 0.5)
    victims = run.ranks()
    if victims:
        chance.choice(victims).kill()
    run.wait(lambda: not any(victim.is_running() for victim in victims))
    return bool(victims)


def len_of(run: Launched) -> int:
    assert isinstance(run.process.args, list)
    return int(run.process.args[run.process.args.index("--ranks") + 1])


def every_sample_once_an_epoch(folder: Path) -> bool:
    lines = metrics_of(folder)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    all_of_them = fingerprint(torch.arange(SAMPLES))
    epochs = {line["epoch"] for line in lines}
    return epochs == set(range(EPOCHS)) and all(
        sum(line["sample_fingerprint"] for line in lines if line["epoch"] == epoch) == all_of_them for epoch in epochs
    )


def endless(folder: Path, strategy: str, *flags: str, ranks: int = 2) -> Launched:
    run = start(folder, ranks, [*FLAGS, "--train.max_steps", "100000", "--train.epochs", "100000",
                                "--strategy.name", strategy, "--train.timeout", "5", *flags])  # fmt: skip
    run.wait_until(lambda: run.steps() >= 2 and len(run.ranks()) == ranks)
    return run


def test_a_rank_that_dies_ends_the_job_with_the_reason_told_once(tmp_path: Path) -> None:
    run = endless(tmp_path / "run", "split")
    run.ranks()[1].send_signal(signal.SIGKILL)
    code, lines = run.end()
    assert code == 1 and run.exit() == {"code": 1, "reason": lines[-1].removeprefix("error: ")}
    assert lines[-1].startswith(
        "error: rank 1 was killed by SIGKILL (most often: out of memory); rank 0 lost another rank in step "
    )
    assert "all_gather" in lines[-1] or "all_to_all" in lines[-1] or "all_reduce" in lines[-1]
    assert sum("error" in line.lower() for line in lines) == 1 and "Traceback" not in "\n".join(lines)


@pytest.mark.parametrize(
    "strategy, ranks, flags",
    [
        ("ddp", 2, ["--checkpoint.every_steps", "2"]),
        pytest.param("zero2", 2, [], marks=LONG_FORM),
        pytest.param("fsdp", 4, ["--strategy.shard_ranks", "2"], marks=LONG_FORM),
    ],
    ids=["ddp", "zero2", "hybrid fsdp"],
)
def test_a_rank_that_hangs_ends_the_job_and_is_named(
    strategy: str, ranks: int, flags: list[str], tmp_path: Path
) -> None:
    """Every process group has the time limit, whoever made it; under ddp a checkpoint is being written all the time."""
    run = endless(tmp_path / "run", strategy, *flags, ranks=ranks)
    run.ranks()[1].send_signal(signal.SIGSTOP)
    code, lines = run.end()
    assert code == 1 and run.exit()["reason"] == lines[-1].removeprefix("error: ")
    assert re.match(
        r"error: rank 1 did not answer; rank [023] lost another rank in (the checkpoint of )?step ", lines[-1]
    )
    assert "Timed out" in lines[-1] or "Application timeout" in lines[-1]  # gloo says one or the other


@pytest.mark.parametrize("waits_for_data", [False, True], ids=["stopped", "without data"])
def test_a_rank_is_named_where_the_others_wait_in_their_device(waits_for_data: bool, tmp_path: Path) -> None:
    """As over NCCL: no time limit of a group reaches the first rank's main thread, which stands still here."""
    flags = [*SMOKE, "--data.name", "toy_standstill", "--optim.schedule", "toy_standstill", "--strategy.name", "ddp"]
    flags += ["--train.max_steps", "100", "--train.epochs", "100", "--train.evaluate", "false", "--train.timeout", "2"]
    flags += ["--run.dir", "run"]
    plugins = {"ALEXNET_DIST_PLUGINS": "toy_standstill", "PYTHONPATH": str(ROOT / "tests/plugins")}
    line = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--", *flags]
    run = start_line(line, tmp_path / "run", {**plugins, **({"TOY_WAITS_FOR_DATA": "1"} if waits_for_data else {})})
    code, lines = run.end()
    assert code == 1 and run.exit() == {"code": 1, "reason": lines[-1].removeprefix("error: ")}
    named = (
        r"error: rank 1 did not answer; rank 0 made no progress for \d+ s in step 21; its last collective: all_reduce$"
    )
    assert re.match(named, lines[-1]), lines[-1]


@pytest.mark.parametrize("rank", [pytest.param(0, marks=LONG_FORM), 1])
def test_a_rank_that_fails_says_why_and_nobody_else_does(rank: int, tmp_path: Path) -> None:
    """Its trace, and what other ranks than the first print, is in their logs."""
    line = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--", *FLAGS]
    path = str(ROOT / "tests/plugins")
    plugins = {"ALEXNET_DIST_PLUGINS": "toy_failure", "PYTHONPATH": path, "TOY_FAILS": str(rank)}
    run = start_line([*line, "--strategy.name", "split", "--run.dir", "run"], tmp_path / "run", plugins)
    code, lines = run.end()
    assert code == 1
    assert lines[-1].startswith(f"error: rank {rank} failed in step ") and lines[-1].endswith("ValueError: a cause")
    assert sum(line.startswith("error: ") for line in lines) == 1 and "Traceback" not in "\n".join(lines)
    logs = {path.name: path.read_text() for path in (run.folder / "logs").iterdir()}
    assert set(logs) == {"rank-1.log", f"rank-{rank}.log"}
    assert "Traceback" in logs[f"rank-{rank}.log"] and "ValueError: a cause" in logs[f"rank-{rank}.log"]
    assert "rank 0 has something to say" in lines and "rank 1 has something to say" not in lines
    assert "rank 1 has something to say" in logs["rank-1.log"]


def test_a_refusal_is_not_started_again(tmp_path: Path) -> None:
    run = start(tmp_path / "run", 2, [*FLAGS, "--strategy.name", "single"], ["--max-restarts", "3"])
    code, lines = run.end()
    assert code == 2 and lines[-1].startswith("error: strategy.name: single: takes one rank")
    assert sum("takes one rank" in line for line in lines) == 1
