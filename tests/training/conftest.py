"""A finished run that several tests look at; none may change it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SMOKE


@pytest.fixture(scope="session")
def smoke_run(fashion_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 20 steps on Fashion-MNIST in one process, evaluated on 1,000 images."""
    folder = tmp_path_factory.mktemp("smoke") / "run"
    flags = [*SMOKE, "--tracking.wandb", "false", "--train.evaluate_samples", "1000", "--run.dir", str(folder)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "launch/train.py"), *flags],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
