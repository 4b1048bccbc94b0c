"""The command line that starts ranks."""

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.distributed.cores import available_cores, record_users_threads
from alexnet_dist.distributed.launched_rank import cpu_wanted
from alexnet_dist.distributed.network_interface import check_loopback
from alexnet_dist.distributed.thread_limit import check_threads

DEFAULTS = Path(__file__).with_name("accelerate_defaults.yaml")
LAUNCHER = "alexnet_dist.launcher.accelerate_launch"
# This program as Python and launchers take it; a command's name follows.
CLI = ("-m", "alexnet_dist.cli")
TRAIN = (*CLI, "train")


@dataclass(frozen=True)
class Nodes:
    """The machines that a job's ranks are spread over, and which one this is.

    Attributes:
        count: how many machines.
        rank: of this machine, from 0.
        address: where the other machines reach machine 0; None if there is only one machine.
    """

    count: int = 1
    rank: int = 0
    address: str | None = None


def launch_line(
    ranks: int,
    program: Sequence[str],
    port: int | None = None,
    nodes: Nodes = Nodes(),
    log_dir: Path | None = None,
) -> list[str]:
    """The `accelerate launch` command for ranks, the same with and without GPUs.

    It names a config file of its own: without one, that of the user's `accelerate config` would apply.

    Args:
        ranks: processes to start, over all machines.
        program: a script or `-m module`, and its arguments.
        port: where the ranks find each other, on machine 0; None takes a free one, on one machine.
        log_dir: of torch's agent; by default a temporary one.

    Raises:
        UsageError: several ranks could not reach each other, or too few threads can be started.
    """
    check_threads(available_cores(), ranks // nodes.count + 1)
    if ranks > 1:
        check_loopback()
    line = [sys.executable, "-m", LAUNCHER, "--config_file", str(DEFAULTS)]
    if ranks > 1:
        line.append("--multi_gpu")
    elif cpu_wanted(os.environ):
        line.append("--cpu")  # for one rank, Accelerate replaces ACCELERATE_USE_CPU by what this flag says
    if log_dir is not None and ranks > 1:
        line += ["--log_dir", str(log_dir)]
    line += ["--num_processes", str(ranks), "--main_process_port", str(port or free_port())]
    if nodes.address is not None:
        line += ["--num_machines", str(nodes.count), "--machine_rank", str(nodes.rank)]
        line += ["--main_process_ip", nodes.address, "--rdzv_backend", "static"]
    return [*line, *program]


def launch_environment() -> dict[str, str]:
    """The environment to start a launcher in: this process's, with a record of what the launcher will replace."""
    environment = dict(os.environ)
    record_users_threads(environment)
    return environment


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
