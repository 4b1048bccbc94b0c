"""The layers of pyproject.toml hold, and modules that must be light import no torch."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "alexnet_dist"
# Names, facts, settings and checks: what answers a slip in a flag, and what plugins import.
LIGHT = (
    "errors.py", "registry.py", "imports.py", "cli.py", "nets/catalogue.py", "nets/table.py", "config/*.py",
    "costs/*.py", "data/dataset.py", "data/augmentations.py", "data/sets/*.py", "strategies/*.py",
    "strategies/parts/module_strategy.py",
    "training/optimizers.py", "training/schedules.py", "telemetry/step_metrics.py", "telemetry/trackers/*.py",
    "launcher/*.py", "compare/columns.py", "commands/*.py",
)  # fmt: skip
# Runs `accelerate launch` in its own process.
PROGRAM = "accelerate_launch.py"
HEAVY = ("torch", "accelerate", "deepspeed", "wandb", "torchvision")


def test_lower_layers_import_no_higher_ones() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def heavy_imports_of(module: str) -> str:
    """What of `HEAVY` a fresh interpreter has imported with a module."""
    program = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{module}: {done.stderr}"
    return done.stdout.strip()


@pytest.mark.parametrize("pattern", LIGHT)
def test_light_modules_import_no_torch(pattern: str) -> None:
    modules = [module_of(path) for path in sorted(PACKAGE.glob(pattern)) if path.name != PROGRAM]
    assert modules
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(modules, pool.map(heavy_imports_of, modules), strict=True))
    assert found == dict.fromkeys(modules, "")
