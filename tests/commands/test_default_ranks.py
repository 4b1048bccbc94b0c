"""How many ranks `alexnet-dist launch` starts by itself."""

import pytest
from replaced_gpus import EIGHT, NO_GPU, OLD_DRIVER, ONE, TWO, Machine

from alexnet_dist.cli import main


@pytest.mark.parametrize(
    "machine, use_cpu, ranks",
    [
        (NO_GPU, "false", 1),
        (ONE, "false", 1),
        (TWO, "false", 2),
        (EIGHT, "false", 8),
        (EIGHT, "true", 1),
        (OLD_DRIVER, "false", 1),
    ],
)
def test_one_a_gpu(
    machine: Machine,
    use_cpu: str,
    ranks: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine.replace(monkeypatch)
    monkeypatch.setenv("ACCELERATE_USE_CPU", use_cpu)
    assert main(["launch", "--print-command"]) == 0
    words = capsys.readouterr().out.split()
    assert words[words.index("--num_processes") + 1] == str(ranks)
    assert ("--multi_gpu" in words) == (ranks > 1) and ("--cpu" in words) == (use_cpu == "true")
