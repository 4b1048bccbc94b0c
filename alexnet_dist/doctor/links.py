"""Latency and bandwidth between ranks, of the collectives that training uses most."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from alexnet_dist.doctor.facts import RankFacts

# Bytes of the full buffer. The large one grows until a call takes so long that latency hardly counts.
SMALL, LARGE, LARGEST, GROWTH = 64, 2**18, 2**28, 4
MIN_CALL_SECONDS = 0.03
SECONDS_PER_LINK, MAX_CALLS = 0.2, 100

Collective = Callable[[Tensor, dist.ProcessGroup], None]


@dataclass(frozen=True)
class Link:
    """A collective over groups of ranks: within nodes, between them, or over all.

    Attributes:
        what, where: names.
        groups: the ranks of each group; all groups communicate at once.
    """

    what: str
    where: str
    groups: Sequence[Sequence[int]]


@dataclass(frozen=True)
class LinkSpeed:
    """The measured speed of a link, in its slowest group.

    Attributes:
        latency: seconds of a call with next to no data.
        bandwidth: bytes/s that each rank sends in a call with a lot of data.
    """

    link: Link
    latency: float
    bandwidth: float

    @property
    def ranks(self) -> str:
        """The size of a group: 2, or 2-4 where groups differ."""
        return "-".join(str(size) for size in sorted({len(group) for group in self.link.groups}))

    def as_json(self) -> dict[str, str | float]:
        """Names and figures, in seconds and bytes/s."""
        names = {"what": self.link.what, "where": self.link.where, "ranks": self.ranks}
        return {**names, "latency": self.latency, "bandwidth": self.bandwidth}


def links(ranks: Sequence[RankFacts]) -> list[Link]:
    """The links to measure: within nodes, between nodes and, where there are both, over all ranks at once.

    Args:
        ranks: by rank.
    """
    nodes: dict[str, list[int]] = {}
    for facts in ranks:
        nodes.setdefault(facts.host, []).append(facts.rank)
    inside = [node for node in nodes.values() if len(node) > 1]
    pairs = [node[i : i + 2] for node in inside for i in range(0, len(node) - 1, 2)]
    firsts = [node[0] for node in nodes.values()]
    possible = [
        Link("all-reduce", "within a node", inside),
        Link("all-reduce", "between nodes", [firsts]),
        Link("all-reduce", "all ranks", [range(len(ranks))] if inside and len(nodes) > 1 else []),
        Link("pair exchange", "within a node", pairs),
        Link("pair exchange", "between nodes", [firsts[:2]]),
    ]
    return [link for link in possible if link.groups and len(link.groups[0]) > 1]


def measure(link: Link, rank: int, device: torch.device) -> LinkSpeed:
    """Time one link. Collective over all ranks, those outside its groups too."""
    own: dist.ProcessGroup | None = None
    for members in link.groups:
        group = dist.new_group(list(members))
        if rank in members:
            assert isinstance(group, dist.ProcessGroup), "its members get the group"
            own = group
    size = len(link.groups[0])
    collective, passes = (_all_reduce, 2) if link.what == "all-reduce" else (_exchange, 1)
    latency = _call_seconds(collective, torch.zeros(SMALL // 4, device=device), own)
    large, seconds = LARGE, 0.0
    while seconds < MIN_CALL_SECONDS and large < LARGEST:
        large *= GROWTH
        seconds = _call_seconds(collective, torch.zeros(large // 4, device=device), own)
    return LinkSpeed(link, latency, passes * (size - 1) / size * large / seconds)


def _all_reduce(buffer: Tensor, group: dist.ProcessGroup) -> None:
    dist.all_reduce(buffer, group=group)


def _exchange(buffer: Tensor, group: dist.ProcessGroup) -> None:
    parts = buffer.chunk(group.size())
    dist.all_gather(list(parts), parts[group.rank()].clone(), group=group)


def _call_seconds(collective: Collective, buffer: Tensor, group: dist.ProcessGroup | None) -> float:
    """Seconds of a call on the slowest rank. Collective over all ranks."""
    _time(collective, buffer, group, 1)
    once = _slowest(_time(collective, buffer, group, 1), buffer.device)
    calls = max(1, min(MAX_CALLS, int(SECONDS_PER_LINK / max(once, 1e-6))))
    return _slowest(_time(collective, buffer, group, calls) / calls, buffer.device)


def _time(collective: Collective, buffer: Tensor, group: dist.ProcessGroup | None, calls: int) -> float:
    start = time.perf_counter()
    if group is not None:
        for _ in range(calls):
            collective(buffer, group)
        if buffer.is_cuda:
            torch.cuda.synchronize()
    return time.perf_counter() - start


def _slowest(seconds: float, device: torch.device) -> float:
    slowest = torch.tensor(seconds, dtype=torch.float64, device=device)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return float(slowest)
