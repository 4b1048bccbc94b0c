"""The two-node cluster of tests/slurm/bed.sh, as tests use it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from waiting import wait_until

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests/slurm/bed.sh"
TOOLS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "nsenter")
DONE = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
PATIENCE = 240  # seconds; nothing hangs for longer


def missing() -> str | None:
    """Why there can be no bed on this machine."""
    if os.geteuid() != 0:
        return "the Slurm bed needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"the Slurm bed needs {', '.join(absent)}: launch/test.sh installs them" if absent else None


class Bed:
    """A running cluster.

    Args:
        folder: for its files; new.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._call("start")

    def stop(self) -> None:
        self._call("stop")

    def run(self, *words: object, environment: Mapping[str, object] | None = None) -> subprocess.CompletedProcess[str]:
        """A command on the login node, in the repository, as a user types it."""
        return self._call("exec", "timeout", PATIENCE, *words, environment=environment or {})

    def on(self, node: str, *words: object) -> None:
        """A command on a node, as its administrator types it."""
        assert (done := self._call("on", node, *words)).returncode == 0, done.stdout

    def line(self, command: str, *words: object) -> list[str]:
        """The command line of a call of bed.sh, such as `on NODE …`."""
        return [str(SCRIPT), command, str(self._folder), *map(str, words)]

    def cut(self, node: str) -> None:
        """Pull a node's plug."""
        self._call("cut", node)

    def boot(self, node: str) -> None:
        self._call("boot", node)

    def submit(self, log: Path, *words: object, environment: Mapping[str, object] | None = None) -> str:
        """`sbatch` with a log file.

        Returns:
            The job's number.
        """
        done = self.run("sbatch", "--parsable", f"--output={log}", *words, environment=environment)
        assert re.fullmatch(r"\d+", done.stdout.strip()), done.stdout
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job; of an array's first task, where it is one."""
        words = self.run("scontrol", "--oneliner", "show", "job", number).stdout.splitlines()[0].split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, number: str) -> str:
        """Wait for a job's end and tell its state; a job that comes back has not ended."""
        wait_until(lambda: self.job(number)["JobState"] in DONE)
        return self.job(number)["JobState"]

    def _call(
        self, command: str, *words: object, environment: Mapping[str, object] | None = None
    ) -> subprocess.CompletedProcess[str]:
        # As after `source .venv/bin/activate`; the nodes have no GPU that torch could use.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        settings = {"PATH": path, "ACCELERATE_USE_CPU": "true", **(environment or {})}
        return subprocess.run(
            self.line(command, *words),
            env=os.environ | {name: str(value) for name, value in settings.items()},
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE + 60,
            check=command in ("start", "stop"),
        )
