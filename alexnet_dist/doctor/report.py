"""What the doctor prints: the ranks, the speed of their devices and links, the problems."""

import sys
from collections.abc import Sequence
from itertools import zip_longest

from rich.table import Table

from alexnet_dist.costs.units import counted
from alexnet_dist.doctor.facts import RankFacts
from alexnet_dist.doctor.findings import Findings
from alexnet_dist.doctor.links import LinkSpeed
from alexnet_dist.telemetry.console import new_console


def report(ranks: Sequence[RankFacts], found: Findings, speeds: Sequence[LinkSpeed], rates: Sequence[float]) -> None:
    """Print tables, notes and problems, each once.

    Args:
        ranks: by rank.
        found: all ranks' problems, and rank 0's notes.
        speeds, rates: of links, and of devices by rank; empty where nothing was measured.
    """
    console = new_console()
    first = ranks[0]
    console.print(_ranks_table(ranks, rates))
    console.print("rank 0 has " + ", ".join(f"{name} {version}" for name, version in first.versions.items()))
    if speeds:
        console.print(_speeds_table(speeds))
    found.show()
    if not found.problems:
        nodes = len({facts.host for facts in ranks})
        where = f"{nodes} nodes" if nodes > 1 else "one machine"
        console.print(f"ready: {counted(len(ranks), 'rank')} on {where}")
    sys.stdout.flush()


def _ranks_table(ranks: Sequence[RankFacts], rates: Sequence[float]) -> Table:
    table = Table(caption="GFLOP/s: of a matrix product in training's precision, all ranks at once" if rates else None)
    for column in ("rank", "host", "device", "visible GPUs", "backend", "interface", "GFLOP/s"):
        table.add_column(column, justify="right" if column in ("rank", "GFLOP/s") else "left", overflow="fold")
    for facts, rate in zip_longest(ranks, rates):
        visible = ",".join(facts.visible) or "none"
        table.add_row(
            str(facts.rank),
            facts.host,
            f"{facts.device} {facts.device_name}",
            visible,
            facts.backend,
            facts.interface or "this machine's own",
            "" if rate is None else f"{rate / 1e9:.0f}",
        )
    return table


def _speeds_table(speeds: Sequence[LinkSpeed]) -> Table:
    table = Table(caption="GB/s: bytes that each rank sends, the slowest group's")
    for column in ("links", "where", "ranks", "latency, us", "GB/s"):
        table.add_column(column, justify="left" if column in ("links", "where") else "right", no_wrap=True)
    for speed in speeds:
        table.add_row(
            speed.link.what,
            speed.link.where,
            speed.ranks,
            f"{speed.latency * 1e6:.0f}",
            f"{speed.bandwidth / 1e9:.2f}",
        )
    return table
