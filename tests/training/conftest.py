"""A finished run that several tests read; none may change it."""

from pathlib import Path

import pytest
from conftest import SMOKE, train_in


@pytest.fixture(scope="session")
def smoke_run(fashion_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 20 steps on Fashion-MNIST in one process, evaluated on 1,000 images."""
    flags = [*SMOKE, "--tracking.wandb", "false", "--train.evaluate_samples", "1000"]
    run = train_in(tmp_path_factory.mktemp("smoke") / "run", flags)
    assert run.code == 0, run.output
    return run.folder
