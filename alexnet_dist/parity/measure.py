"""Starts the ranks that trace experiments: several experiments in one launch."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from alexnet_dist.errors import RunFailed
from alexnet_dist.launcher.processes import launch
from alexnet_dist.parity.trace import Differences


@dataclass(frozen=True)
class TraceRequest:
    """One experiment to trace.

    Attributes:
        flags: of the experiment.
        steps: to train.
        reference: the trace to compare with; None writes the trace itself.
    """

    flags: Sequence[str]
    steps: int
    reference: Path | None = None


def measure(
    requests: Sequence[TraceRequest],
    ranks: int,
    folder: Path,
    start: Callable[[int, Sequence[str]], None] = launch,
) -> list[Path]:
    """Trace experiments, all in one launch of `ranks` ranks.

    Args:
        start: starts ranks with a program and waits for them.

    Returns:
        A file per request, in order: a TrainingTrace, or the Differences where there is a reference.

    Raises:
        RunFailed: the ranks failed, or were not waited for.
    """
    outputs = [folder / f"trace-{ranks}-{number}" for number in range(len(requests))]
    listed = [
        {**asdict(request), "reference": request.reference and str(request.reference), "output": str(output)}
        for request, output in zip(requests, outputs, strict=True)
    ]
    requests_file = folder / f"requests-{ranks}.json"
    requests_file.write_text(json.dumps(listed))
    start(ranks, ["-m", "alexnet_dist.parity.worker", str(requests_file)])
    if not all(output.exists() for output in outputs):
        raise RunFailed("the ranks left no result: what starts them must wait for their end")
    return outputs


def read_differences(path: Path) -> Differences:
    return Differences(**json.loads(path.read_text()))
