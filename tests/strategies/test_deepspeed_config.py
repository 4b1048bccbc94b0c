"""Who owns what in DeepSpeed's config: the experiment; a contradiction is refused with both values and their places."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from replaced_gpus import OLD_DRIVER, ONE, TWO, Machine

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.strategies.parts.deepspeed_config import FILE, engine_config


def experiment(*flags: str) -> Experiment:
    return resolve(load(["--strategy.name", "zero2", "--train.global_batch", "128", *flags]), 2)


def configured(environment: dict[str, str], *flags: str) -> dict[str, Any]:
    return engine_config(experiment(*flags), 2, 2, environment)


def file(tmp_path: Path, content: object) -> dict[str, str]:
    path = tmp_path / "own.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return {FILE: str(path)}


def test_everything_follows_from_the_experiment() -> None:
    config = configured({}, "--train.accumulate", "4", "--train.clip_norm", "0.5", "--strategy.gradient_dtype", "bf16")
    assert (config["train_batch_size"], config["train_micro_batch_size_per_gpu"]) == (128, 16)
    assert (config["gradient_accumulation_steps"], config["gradient_clipping"]) == (4, 0.5)
    assert config["communication_data_type"] == "bf16"
    assert config["zero_optimization"]["stage"] == 2
    assert config["zero_optimization"]["offload_optimizer"] == {"device": "none"}


def test_stage_3_gathers_ahead_what_is_kept_for_backward(tmp_path: Path) -> None:
    keys = ("stage3_prefetch_bucket_size", "stage3_max_live_parameters")
    for flags, ahead in (((), 0), (("--strategy.reshard_after_forward", "false"), 10**12)):
        config = engine_config(experiment(*flags), 3, 2, {})
        assert [config["zero_optimization"][key] for key in keys] == [ahead, ahead]
    theirs = file(tmp_path, {"zero_optimization": {"stage3_prefetch_bucket_size": 5000}})
    with pytest.raises(UsageError, match=r"stage3_prefetch_bucket_size: 5000: .* says 0 \(strategy.reshard_after_forw"):
        engine_config(experiment(), 3, 2, theirs)


@pytest.mark.parametrize("ranks, to_owners", [(32, True), (33, False)])
def test_many_ranks_sum_all_gradients_together(ranks: int, to_owners: bool) -> None:
    flags = ["--strategy.name", "zero2", "--train.global_batch", str(ranks)]
    config = engine_config(resolve(load(flags), ranks), 2, ranks, {})
    assert config["zero_optimization"]["reduce_scatter"] == to_owners
    assert engine_config(resolve(load(flags), ranks), 3, ranks, {})["zero_optimization"]["reduce_scatter"]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_files_that_are_ready_to_use_say_what_the_program_says(stage: int) -> None:
    path = ROOT / f"configs/deepspeed/zero{stage}.json"
    ours, theirs = (engine_config(experiment(), stage, 2, given) for given in ({}, {FILE: str(path)}))
    assert theirs == ours


@pytest.mark.parametrize(
    "content, words",
    [
        ({"train_batch_size": 64}, ("train_batch_size: 64", "128", "train.global_batch")),
        ({"train_micro_batch_size_per_gpu": 8}, ("train_micro_batch_size_per_gpu: 8", "64", "number of ranks")),
        ({"gradient_accumulation_steps": 2}, ("gradient_accumulation_steps: 2", "1", "train.accumulate")),
        ({"gradient_clipping": 1.0}, ("gradient_clipping: 1.0", "0.0", "train.clip_norm")),
        ({"bf16": {"enabled": True}}, ("bf16.enabled: True", "train.precision fp32")),
        ({"fp16": {"enabled": True}}, ("fp16.enabled: True", "train.precision fp32")),
        ({"zero_optimization": {"stage": 3}}, ("zero_optimization.stage: 3", "2", "strategy.name zero2")),
        (
            {"zero_optimization": {"offload_optimizer": {"device": "cpu"}}},
            ("offload_optimizer.device: cpu", "none", "strategy.offload_optimizer"),
        ),
        ({"optimizer": {"type": "Adam", "params": {"lr": 1e-3}}}, ("optimizer.type: Adam", "optim.*")),
        ({"scheduler": {"type": "WarmupLR"}}, ("scheduler.type: WarmupLR", "optim.*")),
        ("{", ("DeepSpeed config", "is not JSON")),
        ("[1]", ("DeepSpeed config", "object")),
    ],
)
def test_a_file_that_contradicts(tmp_path: Path, content: object, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        configured(file(tmp_path, content))
    for word in ("own.json", *words):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "flag, value, ours",
    [
        ("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3", "2 (strategy.name zero2)"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "1 (train.accumulate)"),
        ("ACCELERATE_GRADIENT_CLIPPING", "1.0", "0.0 (train.clip_norm)"),
        ("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "cpu", "none (strategy.offload_optimizer)"),
        ("ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE", "cpu", "none"),
    ],
)
def test_a_launchers_flag_that_contradicts(flag: str, value: str, ours: str) -> None:
    with pytest.raises(UsageError, match=flag) as refused:
        configured({flag: value})
    assert f": {value}:" in str(refused.value) and ours in str(refused.value)


def test_what_agrees_and_what_is_nobodys_passes(tmp_path: Path) -> None:
    own = {"gradient_clipping": 1, "train_batch_size": "auto", "zero_optimization": {"stage": 2, "overlap_comm": True}}
    environment = {**file(tmp_path, own), "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2", "ACCELERATE_GRADIENT_CLIPPING": "1.0"}
    config = configured(environment, "--train.clip_norm", "1.0")
    assert config["zero_optimization"]["overlap_comm"] is True
    assert config["train_batch_size"] == 128


def test_its_timers_do_not_wait_for_the_device() -> None:
    from deepspeed.utils.config import get_timers_config

    timers = get_timers_config(configured({}))
    assert not timers.enabled and not timers.synchronized


def test_it_takes_the_gpus_that_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    from alexnet_dist.strategies.engines.zero import ZeroEngine

    TWO.replace(monkeypatch)
    ZeroEngine.accelerator_options(experiment(), 2)
    assert "DS_ACCELERATOR" not in os.environ


def test_it_counts_no_gpus_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported, it has torch ask NVML whether there are any, which knows nothing of a driver too old for torch."""
    from alexnet_dist.strategies.engines.zero import ZeroEngine

    OLD_DRIVER.replace(monkeypatch)
    monkeypatch.setenv("DS_ACCELERATOR", "")
    ZeroEngine.accelerator_options(experiment(), 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and os.environ["DS_ACCELERATOR"] == "cpu"


@pytest.mark.parametrize("machine, number", [(TWO, "1"), (ONE, "0")])
def test_a_rank_that_sees_its_own_gpu_only(machine: Machine, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --gpus-per-task=1 the second rank's is number 0; DeepSpeed would take number LOCAL_RANK."""
    from alexnet_dist.strategies.engines.zero import ZeroEngine

    machine.replace(monkeypatch)
    variables = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ZeroEngine.accelerator_options(experiment(), 2)
    assert os.environ["LOCAL_RANK"] == number


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="No such file"):
        configured({FILE: "/proc/nowhere.json"})
