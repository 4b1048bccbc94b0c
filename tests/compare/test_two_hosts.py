"""A comparison over a real link: two hosts, what their interface sent against what was counted."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, unavailable
from long_forms import LONG_FORM

SCRIPT = Path(__file__).with_name("two_hosts.sh")
STEPS, WARM_UP = 12, 2
PATIENCE = 900


@pytest.fixture(params=["unlimited", "10gbit", "1gbit"])
def hosts(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a bed."""
    name = f"adx{os.getpid()}"
    started = None
    if os.geteuid() == 0 and all(map(shutil.which, ("ip", "tc", "taskset", "unshare"))):
        started = subprocess.run([SCRIPT, "start", name, request.param], capture_output=True, text=True, check=False)
    if started is None or started.returncode:
        reason = started.stderr if started else "needs root, iproute2, util-linux"
        unavailable(f"no network namespaces here: {reason}")
    yield name
    subprocess.run([SCRIPT, "stop", name], check=True)


@LONG_FORM
def test_the_interface_sends_what_was_counted(hosts: str, tmp_path: Path) -> None:
    """A run in which nothing is sent tells what starting up costs; TCP's headers and acknowledgements are the rest."""
    log, folder = tmp_path / "sent", tmp_path / "link"
    flags = [
        *f"--strategies ddp,split --global-batches 512 --rounds 1 --steps {STEPS} --warm-up {WARM_UP}".split(),
        *("--seconds", "0", "--peak", "false", "--net.name", "alexnet_small", "--data.name", "synthetic"),
        *("--data.samples", str(512 * (STEPS + WARM_UP)), "--tracking.wandb", "false"),
        *("--start-with", f"{SCRIPT} launch {hosts}", "--dir", str(folder)),
    ]
    line = [sys.executable, str(ROOT / "launch/compare.py"), *flags]
    environment = {**os.environ, "PYTHON": sys.executable, "TWO_HOSTS_LOG": str(log)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((folder / "results.json").read_text())
    assert results["facts"]["hosts"] == f"{hosts}-1, {hosts}-2"
    for row in results["rows"]:
        name = f"{row['case']['strategy']}-2x-b512"
        sent = {kind: _sent(log, f"{name}-{kind}-1") for kind in ("round", "control")}
        a_step = (sent["round"] - sent["control"]) / (STEPS + WARM_UP)
        assert row["figures"]["sent_bytes"] == row["figures"]["expected_bytes"]
        assert a_step == pytest.approx(row["figures"]["sent_bytes"], rel=0.05), f"{name}: {a_step:,.0f}"


def _sent(log: Path, run: str) -> int:
    (line,) = [line for line in log.read_text().splitlines() if f"/{run} " in line]
    return int(line.split(" ")[0])
