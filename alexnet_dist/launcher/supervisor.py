"""`alexnet-dist launch`: starts ranks, passes signals on, and says in one line and one number how it ended.

    alexnet-dist launch --ranks 2 -- --strategy.name split
    alexnet-dist launch --nodes 2 --node-rank 0 --address n1 --port 29501 --ranks 4 -- --run.dir /shared/run

0 done, 1 failed, 2 refused, 75 stopped and resumable.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import psutil

from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.control_folder import CONTROL, RESTARTS, STOP, read_first_failure, read_reports
from alexnet_dist.launcher.exit_status import DONE, FAILED, STOPPED
from alexnet_dist.launcher.line import Nodes, free_port, launch_line

ORPHAN_SECONDS = 60.0
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@dataclass(frozen=True)
class Outcome:
    """How ranks ended: the program's exit code, and why."""

    code: int
    reason: str


def run(flags: Sequence[str]) -> int:
    """`alexnet-dist launch`: the program's own exit code, its reason as the last line."""
    cut = flags.index("--") if "--" in flags else len(flags)
    settings = _parser().parse_args(flags[:cut])
    ranks = settings.ranks or _devices_here() * settings.nodes
    _check(settings, ranks)
    program = ["-m", "alexnet_dist.cli", "train", *flags[cut + 1 :]]
    nodes = Nodes(settings.nodes, settings.node_rank, settings.address)
    if settings.print_command:
        line = launch_line(ranks, program, settings.port or free_port(), nodes)
        print(shlex.join(["accelerate", "launch", *line[3:]]))
        return DONE
    outcome, attempt = Outcome(FAILED, ""), 0
    while True:
        line = launch_line(ranks, program, settings.port or free_port(), nodes)
        outcome = Supervision(line, ranks // nodes.count, nodes.rank).run(attempt)
        if outcome.code != FAILED or attempt == settings.max_restarts:
            break
        attempt += 1
        print(f"restart {attempt} of {settings.max_restarts}: {outcome.reason}", file=sys.stderr, flush=True)
    if outcome.code != DONE:
        print(f"{'stopped' if outcome.code == STOPPED else 'error'}: {outcome.reason}", file=sys.stderr, flush=True)
    return outcome.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("alexnet-dist launch", description=__doc__, usage="%(prog)s [flags] -- [settings]",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--ranks", type=int, help="processes over all nodes; default: one a GPU, else one a node")
    parser.add_argument("--nodes", type=int, default=1, help="machines; run this command on each [1]")
    parser.add_argument("--node-rank", type=int, default=0, help="which of them this is, from 0")
    parser.add_argument("--address", help="of node 0, where there are several")
    parser.add_argument("--port", type=int, help="on node 0; default on one node: a free one")
    parser.add_argument("--max-restarts", type=int, default=0, help="after a fault go on from the last checkpoint")
    parser.add_argument("--print-command", action="store_true", help="show the accelerate launch line and stop")
    return parser


def _devices_here() -> int:
    import torch  # takes seconds, and most callers say how many

    return max(1, torch.cuda.device_count())


def _check(settings: argparse.Namespace, ranks: int) -> None:
    if settings.nodes > 1 and (settings.address is None or settings.port is None):
        raise UsageError("--nodes", settings.nodes, "several nodes need --address and --port of node 0")
    if not 0 <= settings.node_rank < settings.nodes:
        raise UsageError("--node-rank", settings.node_rank, f"must be from 0 to {settings.nodes - 1}")
    if ranks < 1 or ranks % settings.nodes:
        raise UsageError("--ranks", ranks, f"must be a multiple of the {settings.nodes} nodes")


class Supervision:
    """Ranks of one machine, from their start to their end.

    Args:
        line: the `accelerate launch` line, as `launch_line` gives it.
        ranks: how many it starts on this machine.
        node_rank: which machine this is.
    """

    def __init__(self, line: Sequence[str], ranks: int, node_rank: int) -> None:
        self._line = [line[0], "-m", "alexnet_dist.launcher.accelerate_launch", *line[3:]]
        self._ranks = range(node_rank * ranks, (node_rank + 1) * ranks)
        self._asked_by: str | None = None
        self._launcher: subprocess.Popen[bytes] | None = None
        self._folder = Path()

    def run(self, attempt: int) -> Outcome:
        """Start the ranks, wait for their end, and judge it."""
        with TemporaryDirectory(prefix="alexnet-launch-") as folder:
            self._folder = Path(folder)
            before = {number: signal.signal(number, self._heard) for number in SIGNALS}
            environment = {**os.environ, CONTROL: folder, RESTARTS: str(attempt)}
            # A session of its own: Ctrl-C at the terminal must reach the ranks through us, not kill the launcher. Nor
            # may a signal that Slurm sends to every process of a job: the launcher never hears it, ranks once they can.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            self._launcher = subprocess.Popen(self._line, env=environment, start_new_session=True)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            try:
                code = self._launcher.wait()
                if code < 0 and self._asked_by is None:
                    self._await_orphans()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
            return judge(read_reports(self._folder), read_first_failure(self._folder), self._ranks, code)

    def _await_orphans(self) -> None:
        """A launcher that is killed takes no rank with it; they find out, save and end by themselves."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        while time.monotonic() < deadline and len(read_reports(self._folder)) < len(self._ranks):
            time.sleep(0.1)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._asked_by is None:
            self._asked_by = signal.Signals(number).name
            (self._folder / STOP).touch()
            return
        assert self._launcher is not None
        for process in [*psutil.Process(self._launcher.pid).children(recursive=True), self._launcher]:
            process.kill()


def judge(
    reports: dict[int, dict[str, Any]], first_failure: dict[str, int] | None, ranks: Sequence[int], launcher: int
) -> Outcome:
    """What happened, told once, and the first cause of it.

    Args:
        reports: of the ranks that could still tell.
        first_failure: what the launcher saw.
        ranks: those that should have told.
        launcher: its exit code.
    """
    told = sorted(reports.values(), key=lambda report: float(report["time"]))
    own = [report for report in told if report["code"] not in (DONE, STOPPED) and not report["lost"]]
    if own:
        return Outcome(own[0]["code"], own[0]["reason"])
    lost = "".join(f"; {report['reason']}" for report in told if report["lost"])[:400]
    silent = [rank for rank in ranks if rank not in reports]
    if first_failure is not None and first_failure["rank"] in silent:
        return Outcome(FAILED, f"rank {first_failure['rank']} {_died(first_failure['exitcode'])}{lost}")
    if silent and lost:
        return Outcome(FAILED, f"rank {', '.join(map(str, silent))} did not answer{lost}")
    if lost:
        return Outcome(FAILED, lost.removeprefix("; "))
    if silent:
        return Outcome(FAILED, f"the launcher ended with code {launcher} before rank {silent[0]} had finished")
    stopped = [report for report in told if report["code"] == STOPPED]
    return Outcome(STOPPED, stopped[0]["reason"]) if stopped else Outcome(DONE, "")


def _died(exitcode: int) -> str:
    if exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with code {exitcode} and no word"
