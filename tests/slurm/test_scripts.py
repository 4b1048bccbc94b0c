"""The job scripts as text: what can be checked without running them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from slurm_bed import ROOT, Bed

SCRIPTS = sorted((ROOT / "slurm").iterdir())
JOBS = [path for path in SCRIPTS if path.suffix == ".sbatch"]


def test_shellcheck() -> None:
    if shutil.which("shellcheck") is None:
        assert os.environ.get("CI") != "true", "launch/test.sh installs shellcheck"
        pytest.skip("no shellcheck")
    scripts = [*SCRIPTS, *ROOT.glob("launch/*.sh"), *ROOT.glob("tests/**/*.sh")]
    done = subprocess.run(
        ["shellcheck", "--external-sources", "--exclude=SC1091", *map(str, scripts)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*SCRIPTS, ROOT / "README.md", ROOT / "docs/slurm.md"], ids=lambda path: path.name)
def test_no_double_quoted_node_number(path: Path) -> None:
    """In srun bash -c "… $SLURM_NODEID …" the batch shell puts its own number in: every node would be node 0."""
    outside = re.sub(r"'[^']*'", "", re.sub(r"(^|\s)#.*", "", path.read_text(), flags=re.MULTILINE))
    assert not re.search(r"SLURM_(NODEID|PROCID|LOCALID)", outside)


@pytest.mark.parametrize("path", [*JOBS, ROOT / "docs/slurm.md"], ids=lambda path: path.name)
def test_eight_cpus_for_each_gpu(path: Path) -> None:
    """In each command, and in a job's own flags together."""
    lines = re.sub(r"\n#SBATCH", " ", path.read_text()).splitlines()
    found = [dict(re.findall(r"--((?:gpus-per|cpus-per|ntasks-per)-\w+)=(\d+)", line)) for line in lines]
    for flags in (asking := [flags for flags in found if "gpus-per-node" in flags]):
        cpus = int(flags.get("cpus-per-task", 1)) * int(flags.get("ntasks-per-node", 1))
        assert cpus == 8 * int(flags["gpus-per-node"]), flags
    assert asking


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_slurm_accepts(bed: Bed, path: Path) -> None:
    done = bed.run("sbatch", "--test-only", path)
    assert done.returncode == 0 and "to start at" in done.stdout, done.stdout
