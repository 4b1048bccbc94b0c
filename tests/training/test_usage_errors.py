"""What a user can get wrong, on real processes: exit code 2, one line, nothing left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ACCELERATE, ROOT, SMOKE, Finished, Train, accelerate_launch
from long_forms import LONG

from alexnet_dist.launcher.launch_line import free_port

TWO = ["--strategy.name", "split", "--tracking.wandb", "false"]


def refused(run: Finished, *words: str) -> None:
    """One line with the words; the reason also in exit.json; no traceback of ours; nothing else written."""
    assert len(run.errors()) == 1, run.output
    for word in words:
        assert word in run.errors()[0]
    assert "alexnet_dist/" not in run.output, run.output
    assert run.exit() == {"code": 2, "reason": run.errors()[0].removeprefix("error: ")}
    assert [path.name for path in run.folder.iterdir()] == ["exit.json"]


ALONE_MISTAKES = [
    (["--train.epocs", "2"], ("train.epocs", "2", "epochs")),
    (["--train.epochs", "two"], ("train.epochs", "two", "integer")),
    (["--nets.name", "x"], ("nets.name", "did you mean net.name?")),
    (["--net.name", "resnet"], ("net.name", "resnet", "alexnet_2012")),
    (["--train.global_batch", "7", "--train.accumulate", "2"], ("train.global_batch", "7", "multiple of 2")),
    (["--strategy.name", "ddp"], ("strategy.name", "ddp", "two ranks")),
    (["--strategy.name", "split"], ("strategy.name", "split", "even number")),
    (["--net.classes", "5"], ("net.classes", "5", "10 classes")),
    (["--net.channels", "3"], ("net.channels", "3", "leave it out")),
    (["--data.normalise", "imagenet"], ("data.normalise", "imagenet", "give [[mean], [deviation]]", "or none")),
    (["--net.towers", "3"], ("net.towers", "3", "divide")),
    (["--data.root", "/proc/nowhere"], ("data.root", "/proc/nowhere", "alexnet-dist data fetch")),
    (["--config", "/proc/nowhere.yaml"], ("--config", "/proc/nowhere.yaml", "No such file")),
    (["--train.precision", "tf32"], ("train.precision", "tf32", "fp32")),
    (["--train.precision", "fp16"], ("train.precision", "fp16", "silently trains in fp32")),
    (["--optim.lr"], ("--optim.lr", "needs a value first")),
]  # fmt: skip


def test_alone(train: Train) -> None:
    for number, (flags, words) in enumerate(ALONE_MISTAKES):
        run = train(1, [*SMOKE, *flags], name=f"run-{number}")
        assert run.code == 2
        refused(run, *words)


def test_the_first_rank_tells_why_however_late_it_is(train: Train) -> None:
    """A launcher ends all other ranks as soon as one has ended."""
    late = {"PYTHONPATH": str(Path(__file__).with_name("late"))}
    run = train(2, [*SMOKE, "--strategy.name", "single"], accelerate_launch(2), late)
    assert run.code == 1  # plain `accelerate launch` turns every code into 1
    refused(run, "strategy.name", "single", "ddp or split")


RANKS_MISTAKES = [
    (3, ["--strategy.name", "split"], ("strategy.name", "split", "3", "even number")),
    (2, ["--strategy.name", "single"], ("strategy.name", "single", "ddp or split")),
    (2, ["--strategy.name", "split", "--net.towers", "1"], ("net.norm", "window", "net.towers 2")),
    (2, ["--strategy.name", "split", "--net.classes", "11", "--net.towers", "1", "--net.norm", "false"],
     ("net.classes", "11", "2 equal parts")),
]  # fmt: skip


def test_on_ranks(train: Train) -> None:
    for number, (ranks, flags, words) in enumerate(RANKS_MISTAKES):
        run = train(ranks, [*SMOKE, *flags], name=f"run-{number}")
        assert run.code == 2
        refused(run, *words)


def test_ranks_that_were_promised_but_did_not_come_up(train: Train) -> None:
    run = train(1, SMOKE, launcher=[*ACCELERATE, "--cpu", "--num_processes", "2"])
    refused(run, "MASTER_ADDR without RANK", "--multi_gpu --num_processes N")


USERS_CONFIGS: list[tuple[dict[str, object], tuple[str, ...]]] = [
    ({"mixed_precision": "fp16"}, ("mixed_precision fp16", "--train.precision")),
    ({"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 2}}, ("ACCELERATE_USE_DEEPSPEED",)),
    ({"distributed_type": "FSDP", "fsdp_config": {"fsdp_version": 2}}, ("ACCELERATE_USE_FSDP",)),
    ({"dynamo_config": {"dynamo_backend": "INDUCTOR"}}, ("dynamo_backend inductor",)),
]


def test_a_users_own_accelerate_config_that_contradicts(train: Train, tmp_path: Path) -> None:
    """The file that `accelerate config` writes applies silently to every later launch, as the first case shows."""
    for number, (own, words) in enumerate(USERS_CONFIGS if LONG else USERS_CONFIGS[:2]):
        config = tmp_path / f"home-{number}/accelerate/default_config.yaml"
        settings = {
            "compute_environment": "LOCAL_MACHINE", "distributed_type": "MULTI_GPU", "mixed_precision": "no",
            "num_machines": 1, "num_processes": 2, "machine_rank": 0, "main_process_port": free_port(), **own,
        }  # fmt: skip
        config.parent.mkdir(parents=True)
        config.write_text(yaml.safe_dump(settings))
        if number:
            launcher = [*ACCELERATE, "--config_file", str(config)]
            run = train(2, [*SMOKE, *TWO], launcher, name=f"run-{number}")
        else:
            folder = tmp_path / "run-0"
            line = [sys.executable, *ACCELERATE, str(ROOT / "launch/train.py"), *SMOKE, *TWO, "--run.dir", str(folder)]
            environment = {**os.environ, "HF_HOME": str(config.parents[1])}
            done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
            run = Finished(done.returncode, done.stdout + done.stderr, folder)
        refused(run, "accelerate launch", *words)


def test_damaged_data_on_two_ranks(train: Train, fashion_mnist: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(fashion_mnist, root)
    damaged = root / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    run = train(2, [*SMOKE, "--data.root", str(root)])
    refused(run, "data.root", str(damaged), "fetch it again")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.usefixtures("fashion_mnist")
def test_an_existing_run_is_not_touched(train: Train) -> None:
    flags = [*SMOKE, "--tracking.wandb", "false", "--train.max_steps", "2", "--train.evaluate", "false"]
    first = train(1, flags)
    before = contents(first.folder)
    second = train(2, flags)
    assert second.code == 2 and len(second.errors()) == 1 and "--run.overwrite true" in second.errors()[0]
    assert contents(first.folder) == before
    third = train(1, [*flags, "--run.overwrite", "true", "--run.seed", "5"])
    assert third.code == 0 and third.metrics() != []
    assert contents(third.folder)["metrics.jsonl"] != before["metrics.jsonl"]


@pytest.mark.parametrize("files", [["thesis.tex"], ["config.yaml", "metrics.jsonl", "thesis.tex"], ["metrics.jsonl"]])
def test_a_folder_that_is_no_run_is_never_deleted(train: Train, tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "run").mkdir()
    for name in files:
        (tmp_path / "run" / name).write_text("years of work")
    run = train(1, [*SMOKE, "--run.overwrite", "true"])
    assert run.code == 2 and f"is no run directory (it holds {files[-1]})" in run.errors()[0]
    assert all((tmp_path / "run" / name).read_text() == "years of work" for name in files)
