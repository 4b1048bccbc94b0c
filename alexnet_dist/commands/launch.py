"""`alexnet-dist launch`."""

import os
import shlex
from collections.abc import Sequence
from functools import partial

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.values import Group
from alexnet_dist.distributed.network_interface import check_resolves
from alexnet_dist.errors import DONE, UsageError
from alexnet_dist.launcher.launch_line import TRAIN, Nodes, launch_environment, launch_line
from alexnet_dist.registry import commands

ABOUT = """Start ranks.

alexnet-dist launch --ranks 2 -- --strategy.name split
alexnet-dist launch --ranks 4 --nodes 2 --node-rank 0 --address n1 --port 29501 -- --run.dir /shared

What follows -- are the settings of a training run, see alexnet-dist train --help. It is supervised:
signals are passed on, and the last line and the exit code say how it ended: 0 done, 1 failed, 2
refused, 75 stopped and resumable.

alexnet-dist launch --ranks 2 --program -- -m alexnet_dist.cli evaluate --checkpoint runs/NAME

With --program it is any program that accelerate launch takes, a script or -m MODULE, with its
arguments. The exit code is that of the rank that failed first (1 if a signal killed it), 130 if the
launch itself was interrupted.
"""


class LaunchFlags(Group):
    ranks: int | None = Field(None, ge=1, description="processes over all nodes; default: one a GPU, else one a node")
    nodes: int = Field(1, ge=1, description="machines; run this command on each")
    node_rank: int = Field(0, ge=0, description="which of them this is, from 0")
    address: str | None = Field(None, description="of node 0, where there are several")
    port: int | None = Field(None, ge=1, le=65_535, description="on node 0; default on one node: a free one")
    max_restarts: int = Field(0, ge=0, description="how often to resume from the last checkpoint after a fault")
    program: bool = Field(False, description="a program follows --, not settings; it is not supervised")
    print_command: bool = Field(False, description="show the accelerate launch line and stop")


FLAGS = Flags(LaunchFlags, follows="SETTINGS")


def run(flags: Sequence[str]) -> int:
    """Start ranks on this machine, and wait for them.

    Raises:
        UsageError: the flags are wrong.
    """
    cut = flags.index("--") if "--" in flags else len(flags)
    (settings, _), rest = FLAGS.split(flags[:cut]), flags[cut + 1 :]
    ranks = settings.ranks or _local_devices() * settings.nodes
    _check(settings, ranks, rest)
    nodes = Nodes(settings.nodes, settings.node_rank, settings.address)
    program = rest if settings.program else [*TRAIN, *rest]
    line = partial(launch_line, ranks, program, settings.port, nodes)
    if settings.print_command:
        print(shlex.join(["accelerate", "launch", *line()[3:]]))
        return DONE
    if settings.address is not None:
        check_resolves("--address", settings.address)
    if settings.program:
        os.execve(line()[0], line(), launch_environment())
    from alexnet_dist.launcher.supervisor import supervise

    return supervise(ranks, program, settings.port, nodes, settings.max_restarts)


def _local_devices() -> int:
    from alexnet_dist.distributed.devices import gpu_count  # imports torch: seconds, and most callers pass --ranks

    return max(1, gpu_count())


def _check(settings: LaunchFlags, ranks: int, rest: Sequence[str]) -> None:
    if settings.nodes > 1 and (settings.address is None or settings.port is None):
        raise UsageError("--nodes", settings.nodes, "several nodes need --address and --port of node 0")
    if not 0 <= settings.node_rank < settings.nodes:
        raise UsageError("--node-rank", settings.node_rank, f"must be from 0 to {settings.nodes - 1}")
    if ranks < 1 or ranks % settings.nodes:
        raise UsageError("--ranks", ranks, f"must be a multiple of the {settings.nodes} nodes")
    if not settings.program and rest[:1] == ["train"]:
        raise UsageError("command line", "train", "leave it out: only the settings of a training run follow --")
    if settings.program and not rest:
        raise UsageError("--program", "", "needs a program after --: a script or -m MODULE, and its arguments")
    if settings.program and settings.max_restarts:
        raise UsageError("--max-restarts", settings.max_restarts, "has no effect with --program: it is not supervised")


COMMAND = commands.register(
    Command("launch", "start ranks, pass signals on, return the run's own exit code", run, FLAGS, ABOUT, records=True)
)
