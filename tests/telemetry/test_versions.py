"""A record names the program's version and, in a git checkout, its commit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
PRINT = "import json; from alexnet_dist.telemetry.versions import versions; print(json.dumps(versions()))"


def versions(checkout: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "GIT_DIR": "/proc/nowhere"}  # as in a git hook
    line = [sys.executable, "-P", "-c", PRINT]
    return json.loads(subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_the_commit_is_that_of_the_programs_own_checkout(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        done = subprocess.run([*GIT, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    checkout = tmp_path / "installed/in/somebody/elses/checkout"
    shutil.copytree(ROOT / "alexnet_dist", checkout / "alexnet_dist", ignore=shutil.ignore_patterns("__pycache__"))
    git("add", ".")
    git("commit", "-m", "theirs")
    found = versions(checkout)
    assert "commit" not in found and {"python", "torch", "deepspeed", "accelerate"} <= found.keys()

    shutil.move(checkout / "alexnet_dist", tmp_path)
    git("add", ".")
    git("commit", "-m", "ours")
    git("tag", "a-name-that-is-not-the-commit")
    index, ours = tmp_path / ".git/index", tmp_path / "alexnet_dist/errors.py"
    before = index.stat()
    os.utime(ours, ns=(0, 0))
    assert versions(tmp_path)["commit"] == git("rev-parse", "HEAD")
    after = index.stat()  # not even refreshed: a process that is killed meanwhile would leave its lock
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with ours.open("a") as file:
        file.write("# changed\n")
    assert versions(tmp_path)["commit"] == git("rev-parse", "HEAD") + "-dirty"
