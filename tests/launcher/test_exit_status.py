"""What a refusal looks like under plain `accelerate launch`, which adds a report of its own."""

import os
import subprocess
import sys
from pathlib import Path

import preloaded
import pytest
import torch
from conftest import ACCELERATE, ROOT, SMOKE

from alexnet_dist.errors import FAILED, reason_of
from alexnet_dist.launcher import exit_status
from alexnet_dist.launcher.exit_status import ExitStatus


def test_the_reason_is_the_first_and_the_last_that_is_told(tmp_path: Path) -> None:
    line = [*ACCELERATE, "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    line.append(str(ROOT / "launch/train.py"))
    done = preloaded.run([*line, *SMOKE, "--strategy.name", "single", "--run.dir", str(tmp_path / "run")])
    assert done.returncode == 1  # whatever the rank's own code
    lines = [line for line in done.stderr.splitlines() if line.strip("= ")]
    reason = "error: strategy.name: single: takes one rank, 2 were launched: use ddp or split"
    assert lines.count(reason) == 1 and lines[-1] == f"  traceback : {reason}"
    # The other rank waited and told nothing; one that was still starting was ended by the agent's signal.
    others = [line for line in lines[:-1] if "traceback :" in line]
    assert all("Signal 15 (SIGTERM) received" in line for line in others), others


def test_an_exit_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    """exit.json is a run's last file: here a folder of that name is in its place."""
    program = str(Path(__file__).with_name("no_exit_file.py"))
    done = subprocess.run([sys.executable, program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: exit.json could not be written: Is a directory")


@pytest.mark.parametrize(
    "how, reason",
    [("failed", "its own reason"), ("diverged", "the loss is nan: lower optim.lr, or raise train.precision")],
)
def test_a_rank_that_fails_while_its_thread_waits_for_another_only_tells_its_reason(
    how: str, reason: str, tmp_path: Path
) -> None:
    line = [sys.executable, str(Path(__file__).with_name("waiting_thread.py")), str(tmp_path), how]
    variables = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    ranks = [
        subprocess.Popen(line, env={**variables, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    said = [rank.communicate()[1] for rank in ranks]
    assert (ranks[0].returncode, said[0]) == (FAILED, f"error: {reason}\n")


def test_a_failure_where_the_folder_may_no_longer_be_searched(tmp_path: Path) -> None:
    """Nothing is written, and nothing raised in place of the failure's own reason. Permissions do not bind root."""
    status, user = ExitStatus(), os.geteuid()
    status.own(tmp_path / "run")
    tmp_path.chmod(0)
    os.seteuid(user or 12345)
    try:
        assert status.write(FAILED, "rank 0 failed") is None
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


NCCL = "NCCL error in: …/NCCLUtils.cpp:94, {}, NCCL version 2.28.9\n{}: {}\nLast error:\n{}"
REMOTE = NCCL.format(
    "remote process exited", "ncclRemoteError", "A call failed possibly due to a network error.", "socket"
)
DUPLICATE = NCCL.format(
    "invalid usage", "ncclInvalidUsage", "This usually reflects invalid usage of NCCL library.",
    "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1b000",
)  # fmt: skip


@pytest.mark.parametrize(
    "text, said", [(REMOTE, "rank 0 lost another rank"), (DUPLICATE, "rank 0 failed in its start: ")]
)
def test_who_is_to_blame_for_an_error_of_nccls(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exit_status, "_wait_to_be_ended", lambda: None)
    monkeypatch.setattr(exit_status, "_end_at_once", lambda _: None)

    def fail(status: ExitStatus) -> None:
        raise torch.distributed.DistBackendError(text)

    assert exit_status.exit_code_of(fail, ExitStatus()) == FAILED
    printed = capsys.readouterr().err
    assert f"error: {said}" in printed and ("Duplicate GPU detected" in printed) == (text is DUPLICATE)


CUDA = """CUDA error: an illegal memory access was encountered
Search for `cudaErrorIllegalAddress' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html
CUDA kernel errors might be asynchronously reported at some other API call.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
"""


@pytest.mark.parametrize(
    "text, told", [(CUDA, "CUDA error: an illegal memory access was encountered"), ("one\n  two\n", "one two")]
)
def test_a_reason_of_several_lines_is_told_in_one(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exit_status, "_end_at_once", lambda _: None)

    def fail(status: ExitStatus) -> None:
        raise RuntimeError(text)

    assert exit_status.exit_code_of(fail, ExitStatus()) == FAILED
    assert capsys.readouterr().err.splitlines()[-1] == f"error: rank 0 failed in its start: RuntimeError: {told}"
    assert reason_of(RuntimeError(text)) == f"RuntimeError: {told}"
