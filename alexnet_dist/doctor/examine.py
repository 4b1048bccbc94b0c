"""Every rank examines itself, then all judge together and measure their links; the first one reports."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.doctor.checks import common_problems, own_problems
from alexnet_dist.doctor.facts import Facts, own_facts
from alexnet_dist.doctor.links import Speed, links, measure
from alexnet_dist.doctor.rendezvous import Rendezvous, first_line
from alexnet_dist.doctor.report import report
from alexnet_dist.errors import UsageError
from alexnet_dist.telemetry.run_files import write_json

GROUP_TIMEOUT = timedelta(seconds=30)


def examine(experiment: Experiment, output: Path | None) -> int:
    """Examine this rank, and with it all others of its world. Collective.

    Args:
        experiment: unresolved.
        output: a JSON file for the speeds of links; they are printed in any case.

    Returns:
        0 where all is well, else 2.

    Raises:
        UsageError: the flags are wrong, or the ranks cannot meet.
    """
    facts = own_facts()
    experiment = resolve(experiment, facts.size)
    if facts.size == 1:
        return report([facts], own_problems(facts, experiment), [])
    return _together(facts, experiment, output)


def _together(facts: Facts, experiment: Experiment, output: Path | None) -> int:
    """Meet the others, judge, measure; the first rank reports."""
    rendezvous = Rendezvous(facts)
    ranks, problems = rendezvous.gather(own_problems(facts, experiment))
    problems += common_problems(ranks)
    speeds = [] if problems else _measured(rendezvous, facts, ranks)
    if facts.rank == 0:
        report(ranks, problems, speeds)
        if output is not None and not problems:
            write_json(output, {"links": [speed.as_json() for speed in speeds]})
    rendezvous.part()
    return 2 if problems else 0


def _measured(rendezvous: Rendezvous, facts: Facts, ranks: Sequence[Facts]) -> list[Speed]:
    device = torch.device("cpu")
    if facts.backend == "nccl":
        device = torch.device("cuda", facts.local_rank)
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(
            facts.backend, store=rendezvous.store, rank=facts.rank, world_size=facts.size, timeout=GROUP_TIMEOUT
        )
        speeds = [measure(link, facts.rank, device) for link in links(ranks)]
        dist.destroy_process_group()
    except (dist.DistError, RuntimeError) as error:
        raise UsageError(
            facts.backend,
            f"rank {facts.rank} on {facts.host} over {facts.interface or 'loopback'}",
            f"does not reach the other ranks: name the interface (GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME) and let "
            f"nodes talk on any port ({first_line(error)})",
        ) from None
    return speeds
