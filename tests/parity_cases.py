"""What parity tests cover (nets, optimizers, numbers of ranks), and how they check it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import preloaded

from alexnet_dist.parity.measure import TraceRequest, measure, read_differences
from alexnet_dist.parity.verdict import judge

NETS = {
    "2012": ["--net.name", "alexnet_2012"],
    "2012, one tower": ["--net.name", "alexnet_2012", "--net.towers", "1", "--net.norm", "false"],
    "owt": ["--net.name", "alexnet_owt"],
    "owt, two towers": ["--net.name", "alexnet_owt", "--net.towers", "2"],
    "fashion": ["--net.name", "alexnet_fashion"],
    "fashion, two towers": ["--net.name", "alexnet_fashion", "--net.towers", "2"],
}
SMALL = {
    "small": ["--net.name", "alexnet_small"],
    "small, one tower": ["--net.name", "alexnet_small", "--net.towers", "1", "--net.norm", "false"],
    "small, four towers": ["--net.name", "alexnet_small", "--net.towers", "4", "--net.classes", "12"],
    "small, columns": ["--net.name", "alexnet_small", "--net.exchange", "[fc8]"],
}
SGD = ["--optim.name", "sgd", "--optim.lr", "0.01", "--optim.weight_decay", "5e-4", "--optim.bias_lr", "0.02"]
ADAM = ["--optim.name", "adam", "--optim.lr", "1e-3"]
LARS = ["--optim.name", "lars", "--optim.lr", "10", "--optim.weight_decay", "5e-4"]
# Large nets amplify rounding at the rates above: ten steps of Adam make 4e-12 of fp64's 4e-15, ten of SGD without the
# norm 3e-12 of 2e-15.
CALM_SGD = ["--optim.name", "sgd", "--optim.lr", "1e-3", "--optim.weight_decay", "5e-4", "--optim.bias_lr", "2e-3"]
CALM_ADAM = ["--optim.name", "adam", "--optim.lr", "1e-4"]
TRAINING = [(optimizer, accumulate) for optimizer in (SGD, ADAM) for accumulate in ("1", "2")]
SYNTHETIC = ["--data.name", "synthetic", "--data.samples", "64"]
STRATEGIES = {2: ["ddp", "split"], 4: ["split"]}

Kinds = Sequence[tuple[str, int]]  # (precision, steps)
Worlds = Mapping[int, Mapping[str, Kinds]]  # by number of ranks, by strategy


def exactly(steps: int) -> Kinds:
    """That many steps in fp64, and one in fp32."""
    return [("fp64", steps), ("fp32", 1)]


def worlds(steps: int, strategies: Mapping[int, list[str]] = STRATEGIES) -> Worlds:
    """The same kinds for every strategy."""
    return {ranks: dict.fromkeys(names, exactly(steps)) for ranks, names in strategies.items()}


def hold(cases: dict[str, list[str]], folder: Path, worlds: Worlds, data: Sequence[str] = SYNTHETIC) -> None:
    """Every case under every strategy against one process, in each of its kinds; traffic included.

    One launch a world takes all of them.
    """
    kinds = sorted({kind for world in worlds.values() for kinds in world.values() for kind in kinds})
    references: dict[tuple[str, tuple[str, int]], Path] = {}
    for ranks, world in {1: {"single": kinds}, **worlds}.items():
        keys = [(case, kind, strategy) for strategy, wanted in world.items() for case in cases for kind in wanted]
        requests = [
            TraceRequest(
                [*cases[case], *data, "--train.precision", kind[0], "--strategy.name", strategy],
                kind[1],
                references.get((case, kind)),
            )
            for case, kind, strategy in keys
        ]
        paths = measure(requests, ranks, folder, preloaded.launch)
        if ranks == 1:
            references = {(case, kind): path for (case, kind, _), path in zip(keys, paths, strict=True)}
            continue
        for (case, (precision, steps), strategy), path in zip(keys, paths, strict=True):
            found = read_differences(path)
            verdict = judge(strategy, ranks, found, precision, 128)
            assert verdict.same, f"{case}, {precision}, under {strategy} on {ranks} ranks: {verdict.worst}"
            if steps > 2:  # DDP's first two steps also exchange its buckets
                assert found.traffic["counted"] == found.traffic["expected"], f"{case} under {strategy}"
