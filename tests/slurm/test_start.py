"""`slurm/start.sh` with a program that is not training: `alexnet-dist compare` starts its runs so."""

import json
from pathlib import Path

import pytest
from slurm_bed import ROOT, Bed

PROGRAM = ROOT / "tests/launcher/program.py"
START = ["salloc", "--quiet", "--nodes=2", "slurm/start.sh"]


@pytest.mark.parametrize("ranks, hosts", [(4, ["n1", "n1", "n2", "n2"]), (2, ["n1", "n1"]), (1, ["n1"])])
def test_ranks_fill_node_after_node(ranks: int, hosts: list[str], bed: Bed, tmp_path: Path) -> None:
    done = bed.run(*START, ranks, PROGRAM, tmp_path, environment={"RANKS_PER_NODE": 2, "MASTER_PORT": 23457})
    assert done.returncode == 0, done.stdout
    started = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert [rank["host"] for rank in started] == hosts


def test_ranks_that_do_not_fit_are_refused(bed: Bed, tmp_path: Path) -> None:
    done = bed.run(*START, 3, PROGRAM, tmp_path, environment={"RANKS_PER_NODE": 2, "MASTER_PORT": 23457})
    assert done.returncode == 2 and "error: RANKS: 3: this job has 2 nodes with 2 ranks each" in done.stdout


def test_a_module_of_this_program_is_one_too(bed: Bed) -> None:
    """What compare passes: `-m alexnet_dist.cli COMMAND`; its refusal is the step's."""
    program = ["-m", "alexnet_dist.cli", "doctor", "--ranks", "none"]
    done = bed.run(*START, 2, *program, environment={"RANKS_PER_NODE": 1, "MASTER_PORT": 23457})
    assert done.returncode != 0 and "error: --ranks: none: Input should be a valid integer" in done.stdout
