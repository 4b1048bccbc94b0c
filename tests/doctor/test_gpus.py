"""What the doctor finds on machines with GPUs: devices, too few of them, a driver that is too old, several models."""

from pathlib import Path

import pytest
import torch
from conftest import SMOKE
from replaced_gpus import A100, EIGHT, GTX_1080, L4, MIXED, OLD_DRIVER, ONE, TWO, Machine

from alexnet_dist import registry
from alexnet_dist.config.load import load
from alexnet_dist.config.precisions import set_switches
from alexnet_dist.config.resolve import resolve
from alexnet_dist.doctor import examine
from alexnet_dist.doctor.checks import rank_findings, world_notes, world_problems
from alexnet_dist.doctor.facts import RankFacts, own_facts


@pytest.fixture(autouse=True)
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**variables, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)


def problems(facts: RankFacts) -> list[str]:
    """The findings about GPUs only."""
    flags = [*SMOKE, "--data.name", "synthetic", "--run.dir", str(Path.cwd() / "run")]
    found = rank_findings(facts, resolve(load(flags), facts.world_size))
    return [str(problem) for problem in found.problems if problem.field == "GPUs"]


@pytest.mark.parametrize(
    "machine, device, uuid, backend, visible",
    [
        (TWO, f"cuda:1 {A100}", "uuid-1", "nccl", 2),
        (EIGHT, f"cuda:1 {A100}", "uuid-1", "nccl", 8),
        (MIXED, f"cuda:1 {L4}", "uuid-1", "nccl", 2),
        (ONE, f"cuda:0 {A100}", "uuid-0", "nccl", 1),
    ],
)
def test_a_ranks_gpu(
    machine: Machine, device: str, uuid: str, backend: str, visible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.replace(monkeypatch)
    facts = own_facts()
    assert (f"{facts.device} {facts.device_name}", facts.device_id, facts.backend) == (device, uuid, backend)
    assert len(facts.visible) == visible and "cuda" in facts.versions
    assert problems(facts) == []


def test_a_driver_that_torch_is_too_new_for(monkeypatch: pytest.MonkeyPatch) -> None:
    OLD_DRIVER.replace(monkeypatch)
    facts = own_facts()
    assert facts.device == "cpu" and facts.backend == "gloo" and len(facts.visible) == 2
    (problem,) = problems(facts)
    assert "2 visible: torch" in problem and "cannot use them" in problem


@pytest.mark.parametrize(
    "listed, visible",
    [
        ("0,1", ["0", "1"]),
        ("GPU-8f4a, GPU-91bc", ["GPU-8f4a", "GPU-91bc"]),
        ("MIG-0a1b", ["MIG-0a1b"]),
        ("1,-1,0", ["1"]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_what_the_scheduler_names(listed: str, visible: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it names none, there is no GPU that torch could not use."""
    Machine((A100,) * 2, usable=bool(visible)).replace(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    facts = own_facts()
    assert facts.visible == visible and problems(facts) == []


def test_amds_variable_comes_before_cudas(monkeypatch: pytest.MonkeyPatch) -> None:
    EIGHT.replace(monkeypatch)
    monkeypatch.setattr(torch.version, "hip", "7.1")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert own_facts().visible == ["0"]
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "2,3")
    facts = own_facts()
    assert facts.visible == ["2", "3"] and facts.versions["cuda"] == "HIP 7.1"


def test_more_gpus_are_named_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four ranks would share two GPUs."""
    TWO.replace(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "4")
    facts = own_facts()
    assert problems(facts)[0].startswith("GPUs: 4 ranks and 2 visible: one rank a GPU")
    flags = [*SMOKE, "--data.name", "synthetic", "--run.dir", str(Path.cwd() / "run")]
    notes = rank_findings(facts, resolve(load(flags), 4)).notes
    assert any(note.startswith("GPUs: 4 are named, 0, 1, 2, 3, and torch sees 2: ") for note in notes)


def test_more_ranks_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    TWO.replace(monkeypatch)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "4")
    assert problems(own_facts())[0].startswith("GPUs: 4 ranks and 2 visible: one rank a GPU")


def test_a_gpu_that_torch_is_not_built_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine((GTX_1080,) * 2).replace(monkeypatch)
    assert problems(own_facts())[0].startswith("GPUs: NVIDIA GeForce GTX 1080 (sm_61): torch ")


def test_ranks_that_see_one_gpu_each_or_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single rank cannot distinguish the two: all ranks' findings together can."""
    ONE.replace(monkeypatch)
    second = own_facts()
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    (problem,) = world_problems([own_facts(), second])
    assert str(problem).startswith("GPUs: ranks 0, 1 share one (uuid-0): one rank a GPU")


def test_several_models(monkeypatch: pytest.MonkeyPatch) -> None:
    MIXED.replace(monkeypatch)
    second = own_facts()
    monkeypatch.setenv("LOCAL_RANK", "0")
    (note,) = world_notes([own_facts(), second])
    assert note == f"devices: 1 x {A100}, 1 x {L4}: the slowest sets the pace"


@pytest.mark.parametrize("precision, tf32", [("tf32", True), ("fp32", False)])
def test_a_product_is_timed_in_trainings_precision(
    precision: str, tf32: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fp32 and tf32 multiply the same tensors; a switch of torch's tells them apart."""
    ONE.replace(monkeypatch)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    torch.backends.cuda.matmul.allow_tf32 = not tf32
    allowed: list[bool] = []

    def timed(device: torch.device, dtype: torch.dtype) -> list[float]:
        allowed.append(torch.backends.cuda.matmul.allow_tf32)
        return [1.0]

    monkeypatch.setattr(examine, "measure_rates", timed)
    flags = [*SMOKE, "--data.name", "synthetic", "--run.dir", str(tmp_path / "run"), "--train.precision", precision]
    try:
        assert examine.examine(load(flags), None) == 0
    finally:
        set_switches(registry.precisions["fp32"])
    assert allowed == [tf32]
