"""Runs the two programs of each benchmark in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alexnet_dist.bench.benchmarks import Benchmark
from alexnet_dist.bench.programs import Settings
from alexnet_dist.temporary import temporary_folder


@dataclass(frozen=True)
class Result:
    """What a benchmark measured.

    Attributes:
        ours, other: each program's rate in every round, both in the unit of the other program.
    """

    benchmark: Benchmark
    ours: Sequence[float]
    other: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        return [ours / other for ours, other in zip(self.ours, self.other, strict=True)]


def measure(
    benchmarks: Sequence[Benchmark], rounds: int, settings: Settings, progress: Callable[[str], None]
) -> list[Result]:
    """Measure benchmarks.

    Args:
        rounds: how often the two programs of each take turns.
        progress: called with a line of text before each run.
    """
    results = []
    with temporary_folder("alexnet-bench-") as folder:
        for benchmark in benchmarks:
            programs = {"ours": benchmark.ours, "other": benchmark.other}
            rates: dict[str, list[float]] = {side: [] for side in programs}
            for number in range(rounds):
                # A B, then B A, and so on: drift of the machine affects both alike.
                for side in programs if number % 2 == 0 else reversed(programs):
                    progress(f"{benchmark.name}: {side}")
                    rates[side].append(programs[side].rate(settings, folder))
            results.append(Result(benchmark, [rate * benchmark.scale for rate in rates["ours"]], rates["other"]))
    return results
