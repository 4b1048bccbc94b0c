"""A strategy warns where ranks that share a replica, or a copy of the net, are on several machines."""

import pytest

from alexnet_dist import registry
from alexnet_dist.config.load import load


@pytest.mark.parametrize(
    "strategy, flags, world, local, said",
    [
        ("split", [], 6, 3, "3 ranks on this machine: the 2 of a replica are on two machines and exchange"),
        ("split", [], 6, 2, None),
        ("ddp", [], 6, 3, None),
        ("split", [], 3, 3, None),
        ("fsdp", [], 8, 4, "all ranks share one copy of the net, and layers are gathered over the network: "
                           "--strategy.shard_ranks 4 gathers it within a machine"),
        ("fsdp", [], 2, 1, "all ranks share one copy of the net, and layers are gathered over the network"),
        ("fsdp", ["--strategy.shard_ranks", "8"], 16, 4, "the 8 ranks of a copy span machines, and layers are "
                                                         "gathered over the network: --strategy.shard_ranks 4"),
        ("fsdp", ["--strategy.shard_ranks", "2"], 16, 4, None),
        ("fsdp", [], 4, 4, None),
    ],
)  # fmt: skip
def test_what_spans_machines(strategy: str, flags: list[str], world: int, local: int, said: str | None) -> None:
    experiment = load(["--strategy.name", strategy, *flags])
    found = registry.strategies[strategy].placement_warnings(experiment, world, local)
    assert len(found) == (said is not None) and all(said in line for line in found)
