"""The checks in order: every rank by itself, then all together, then the links; the first rank reports."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from alexnet_dist.config.output import FLAG
from alexnet_dist.config.precisions import precision_of, set_switches
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.doctor.checks import rank_findings, world_notes, world_problems
from alexnet_dist.doctor.facts import RankFacts, own_facts
from alexnet_dist.doctor.findings import Findings
from alexnet_dist.doctor.links import LinkSpeed, links, measure
from alexnet_dist.doctor.rates import measure_rates, slow_ranks
from alexnet_dist.doctor.rendezvous import Rendezvous, first_line
from alexnet_dist.doctor.report import report
from alexnet_dist.errors import DONE, USAGE, UsageError, refusing
from alexnet_dist.telemetry.run_files import write_json

GROUP_TIMEOUT = timedelta(seconds=30)


def examine(experiment: Experiment, output: Path | None) -> int:
    """Check this rank and, with all others, the world. Collective.

    Args:
        experiment: unresolved.
        output: a JSON file for the speeds of links and devices, which are printed in any case.

    Returns:
        The exit code: DONE, or USAGE where there is a problem.

    Raises:
        UsageError: the flags are wrong, or the ranks cannot reach each other.
    """
    facts = own_facts()
    experiment = resolve(experiment, facts.world_size)
    found = rank_findings(facts, experiment)
    precision = precision_of(experiment)
    set_switches(precision)  # tf32 multiplies fp32 tensors, too
    dtype: torch.dtype = getattr(torch, precision.compute)
    if facts.world_size == 1:
        rates = [] if found.problems else measure_rates(torch.device(facts.device), dtype)
        report([facts], found, [], rates)
        if not found.problems:
            _write(output, [], rates)
        return USAGE if found.problems else DONE
    return USAGE if _examine_world(facts, found, dtype, output) else DONE


def _examine_world(facts: RankFacts, found: Findings, dtype: torch.dtype, output: Path | None) -> list[UsageError]:
    """Gather and check everyone's facts and, where all is well, measure links and devices. Collective.

    Args:
        dtype: to multiply in.

    Returns:
        The problems, on every rank.
    """
    rendezvous = Rendezvous(facts)
    ranks, problems = rendezvous.gather(found.problems)
    problems += world_problems(ranks)
    speeds, rates = ([], []) if problems else _measure(rendezvous, facts, ranks, dtype)
    if facts.rank == 0:
        notes = [*found.notes, *world_notes(ranks), *(slow_ranks(ranks, rates) if rates else [])]
        report(ranks, Findings(problems, notes), speeds, rates)
        if not problems:
            _write(output, speeds, rates)
    rendezvous.close()
    return problems


def _write(output: Path | None, speeds: Sequence[LinkSpeed], rates: Sequence[float]) -> None:
    if output is not None:
        with refusing(FLAG, output, "cannot be written"):
            write_json(output, {"links": [speed.as_json() for speed in speeds], "operations_per_second": list(rates)})


def _measure(
    rendezvous: Rendezvous, facts: RankFacts, ranks: Sequence[RankFacts], dtype: torch.dtype
) -> tuple[list[LinkSpeed], list[float]]:
    """The links' speeds, and by rank the operations per second of its device. Collective."""
    device = torch.device(facts.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(
            facts.backend, store=rendezvous.store, rank=facts.rank, world_size=facts.world_size, timeout=GROUP_TIMEOUT
        )
        speeds = [measure(link, facts.rank, device) for link in links(ranks)]
        rates = measure_rates(device, dtype)
        dist.destroy_process_group()
    except (dist.DistError, RuntimeError) as error:
        raise UsageError(
            facts.backend,
            f"rank {facts.rank} on {facts.host} over {facts.interface or 'loopback'}",
            f"does not reach the other ranks: name the interface (GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME) and let "
            f"nodes talk on any port ({first_line(error)})",
        ) from None
    return speeds, rates
