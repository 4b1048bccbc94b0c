"""The `accelerate launch` line that starts ranks."""

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULTS = Path(__file__).with_name("accelerate_defaults.yaml")


@dataclass(frozen=True)
class Nodes:
    """The machines that a job's ranks are spread over, and which one this is.

    Attributes:
        count: how many machines.
        rank: of this machine, from 0.
        address: of machine 0, as all others reach it; None on one machine.
    """

    count: int = 1
    rank: int = 0
    address: str | None = None


def launch_line(ranks: int, program: Sequence[str], port: int, nodes: Nodes = Nodes()) -> list[str]:
    """The `accelerate launch` command for ranks, right with and without GPUs.

    It names a config file of its own: the one that a user's `accelerate config` wrote would apply without a word.

    Args:
        ranks: processes to start, over all machines.
        program: a script or `-m module`, and its arguments.
        port: for the ranks to find each other; free on machine 0.
    """
    several = ["--multi_gpu"] if ranks > 1 else []
    here = []
    if nodes.address is not None:
        here += ["--num_machines", str(nodes.count), "--machine_rank", str(nodes.rank)]
        here += ["--main_process_ip", nodes.address, "--rdzv_backend", "static"]
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(DEFAULTS)),
        *several,
        *("--num_processes", str(ranks), "--main_process_port", str(port)),
        *here,
        *program,
    ]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
