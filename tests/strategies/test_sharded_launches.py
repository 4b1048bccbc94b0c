"""zero1 to zero3 and fsdp as a user launches them: with config files, without a compiler, with invalid settings."""

import json
import os
from pathlib import Path

import pytest
from conftest import ACCELERATE, ROOT, SMOKE, Train

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.launch_line import free_port
from alexnet_dist.strategies.check import check_experiment

SHORT = ["--data.name", "synthetic", "--train.max_steps", "4", "--train.evaluate", "false", "--tracking.wandb", "false"]


def launcher(config: str, *flags: str) -> list[str]:
    path = ROOT / f"configs/accelerate/{config}.yaml"
    return [*ACCELERATE, "--config_file", str(path), "--main_process_port", str(free_port()), *flags]


def deepspeed(file: object) -> list[str]:
    return launcher("deepspeed", "--deepspeed_config_file", str(file))


def launched(file: object) -> dict[str, str]:
    """What the launcher sets for a config file of DeepSpeed's."""
    return {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}


def test_deepspeeds_own_config_files(train: Train) -> None:
    """Also with the CPU requested, as job scripts do: Accelerate by itself would then train as DDP."""
    files = {stage: ROOT / f"configs/deepspeed/zero{stage}.json" for stage in (2, 3)}
    for stage, line, environment in (
        (2, deepspeed(files[2]), {"ACCELERATE_USE_CPU": "true"}),
        (3, None, launched(files[3])),
    ):
        flags = [*SMOKE, *SHORT, "--strategy.name", f"zero{stage}", "--train.clip_norm", "1.0"]
        run = train(2, flags, launcher=line, environment=environment, name=f"zero{stage}")
        assert run.code == 0, run.output
        sent = run.summary()["comm_bytes_per_step"]
        assert sent["counted"] == sent["expected"]


def test_gradients_summed_on_every_rank_are_the_same_training(train: Train, tmp_path: Path) -> None:
    """As on many ranks; a file asks for it on two."""
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"zero_optimization": {"reduce_scatter": False}}))
    flags = [*SMOKE, *SHORT, "--strategy.name", "zero2", "--train.accumulate", "2"]
    summed = train(2, flags, environment=launched(path), name="summed")
    owned = train(2, flags, name="owned")
    assert summed.code == owned.code == 0, summed.output + owned.output
    for step, other in zip(summed.metrics(), owned.metrics(), strict=True):
        assert step["loss"] == pytest.approx(other["loss"], rel=1e-5)
    sent = [run.summary()["comm_bytes_per_step"]["counted"] for run in (summed, owned)]
    assert sent[0]["all_reduce"] > sent[0]["all_gather"] and "reduce" not in sent[0]
    assert sent[1]["all_reduce"] < sent[1]["reduce"]


def test_neither_compiler_nor_ninja_nor_transformers_is_needed(train: Train, tmp_path: Path) -> None:
    """Nothing but Python can be found, and nothing was compiled before."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without/transformers.py").write_text("raise ImportError('not here')")
    bare = {
        "PATH": str(tmp_path / "without"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")]),
        "TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions"),
    }
    flags = ["--strategy.name", "zero3", "--strategy.shard_ranks", "2"]
    run = train(2, [*SMOKE, *SHORT, *flags], launcher=launcher("plain"), environment=bare)
    assert run.code == 0, run.output
    # Each once, though there are two ranks.
    assert run.output.count("warning: ") == 2
    assert "strategy.shard_ranks: 2 has no effect under strategy.name zero3" in run.output
    assert "response norm: no C++ compiler" in run.output
    assert not (tmp_path / "extensions").exists()


def test_a_file_that_contradicts_the_experiment(train: Train, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps({"train_batch_size": 32, "zero_optimization": {"stage": 2}}))
    run = train(2, [*SMOKE, *SHORT, "--strategy.name", "zero2"], environment=launched(tmp_path / "own.json"))
    (line,) = run.errors()
    assert "own.json: train_batch_size: 32: this experiment says 64 (train.global_batch)" in line
    assert run.exit() == {"code": 2, "reason": line.removeprefix("error: ")}


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--strategy.name", "zero1", "--train.precision", "fp64"], ("train.precision", "fp64", "fp32")),
        (["--strategy.name", "zero3", "--train.precision", "fp16"], ("train.precision", "fp16", "bf16")),
        (["--strategy.name", "fsdp", "--train.precision", "fp16"], ("train.precision", "fp16", "bf16")),
        (["--strategy.name", "fsdp", "--strategy.shard_ranks", "3"], ("strategy.shard_ranks", "3", "2 ranks")),
        (["--strategy.name", "zero1", "--optim.name", "lars"], ("optim.name", "lars", "another strategy")),
        (["--strategy.name", "ddp", "--optim.name", "lars", "--train.precision", "fp16"], ("train.precision", "bf16")),
        (["--strategy.name", "zero2", "--strategy.communicate", "false"], ("strategy.communicate", "ddp and split")),
    ],
)
def test_what_sharded_strategies_cannot(flags: list[str], words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        check_experiment(resolve(load([*SMOKE, *SHORT, *flags]), 2), 2)
    assert all(word in str(refused.value) for word in words)
