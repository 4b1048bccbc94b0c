"""The library as its users have it: the examples of docs/python.md on an installed wheel, and what importing costs."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import alexnet_dist

API = Path(__file__).parent / "api"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package's wheel is installed, and nothing else."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "installed"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "alexnet_dist", source / "alexnet_dist", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, check=True)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    return target


def run(installed: Path, folder: Path, *line: str) -> str:
    """The output of a program that sees the wheel and its dependencies, but not DeepSpeed, W&B or plots."""
    path = os.pathsep.join([str(API / "hidden"), str(installed)])
    done = subprocess.run(
        [sys.executable, *line],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def example(number: int, folder: Path) -> list[str]:
    """A program that runs the page's program and prints which package it found."""
    programs = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/python.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(programs) == 2
    program = folder / "program.py"
    program.write_text(programs[number])
    return [str(API / "outsider.py"), str(program)]


def test_the_example_for_one_process(installed: Path, tmp_path: Path) -> None:
    printed = run(installed, tmp_path, *example(0, tmp_path))
    assert str(installed / "alexnet_dist") in printed
    assert "60,965,224 parameters" in printed and "training accuracy 100%" in printed
    assert "2.00 times the images per second" in printed


def test_the_example_for_two_ranks(installed: Path, tmp_path: Path) -> None:
    printed = run(installed, tmp_path, *TORCHRUN, *example(1, tmp_path))
    assert printed.count(str(installed / "alexnet_dist")) == 2
    assert "50% of" in printed and "all_gather" in printed and "all_to_all" in printed
    assert (tmp_path / "alexnet.pt").exists()
    assert printed.count("cut: net.norm: true: ") == 2 == printed.count("images: the ranks of a split net were given")
    assert printed.count("refused: net has 20,453 of 40,906 parameters, as after split: give a whole one") == 4
    assert printed.count("unexpected keyword argument 'pictures'") == 2 == printed.count("of NaN: True")


def test_the_wheel_has_more_than_modules(installed: Path) -> None:
    sources = ("kernels/response_norm.cpp", "data/imagenet/shard_reads.cpp")
    for name in ("py.typed", *sources, "launcher/accelerate_defaults.yaml"):
        assert (installed / "alexnet_dist" / name).exists()
    assert (installed / "alexnet_dist/compare/templates/report.md").exists()


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import sys; had = set(sys.modules); import alexnet_dist; print(*set(sys.modules) - had)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert [name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names] == ["alexnet_dist"]


def test_every_public_name_is_there_for_programs_type_checkers_and_readers() -> None:
    names = set(alexnet_dist.__all__)
    assert all(getattr(alexnet_dist, name) is not None for name in names) and names <= set(dir(alexnet_dist))
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = alexnet_dist.nothing_like_it  # type: ignore[attr-defined]
    tree = ast.parse(Path(alexnet_dist.__file__).read_text())
    typed = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed - {None} == names
    page = (ROOT / "docs/python.md").read_text().partition("\n\nThe nets")[0]
    assert set(re.findall(r"`ad\.(\w+)", page)) == names
