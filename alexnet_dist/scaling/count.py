"""Trains a few steps as the first rank of a simulated world, and counts what they cost."""

import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from accelerate import Accelerator

from alexnet_dist.config.load import load
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.latency import hops, messages, peers
from alexnet_dist.data.sharding_check import check_samples
from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.traffic_counter import Channel, Sent, traffic_counter
from alexnet_dist.launcher.exit_status import ExitStatus
from alexnet_dist.scaling.counters import CountingRng, LineCounter, PrintedLines, bytes_under
from alexnet_dist.scaling.plain_images import PLAIN_IMAGES
from alexnet_dist.scaling.simulated_tree import TreeMessages, simulate_trees
from alexnet_dist.scaling.simulated_world import enter_simulated_world
from alexnet_dist.telemetry import figures
from alexnet_dist.telemetry.run_files import SUMMARY
from alexnet_dist.temporary import temporary_folder
from alexnet_dist.training import rounds
from alexnet_dist.training.train import train
from alexnet_dist.training.wiring import Components, assemble

# Four windows: DDP makes its buckets; costs are counted; lines of Python are counted, which is slow; the run ends.
WINDOW = 2
STEPS = 4 * WINDOW
SETTLED = 0.2  # seconds: by then the round under way in its own thread is over
START, FIRST, COUNTED, TRACED, LAST = "its start", *(f"step {WINDOW * window + 1}" for window in range(4))
_FLAGS = {
    "data.name": PLAIN_IMAGES.name,
    "data.workers": 0,  # threads would draw ahead
    "train.max_steps": STEPS,
    "train.evaluate": "false",
    "tracking.log_every": WINDOW,
    "tracking.wandb": "false",
    "checkpoint.every_steps": 0,
}


@dataclass(frozen=True)
class Collectives:
    """A rank's collectives, added up.

    Attributes:
        calls: of a collective.
        messages: that the busiest rank sends, on gloo.
        hops: messages one after the other, on gloo.
        bytes: sent.
    """

    calls: int
    messages: int
    hops: int
    bytes: int


@dataclass(frozen=True)
class Costs:
    """What a window of two steps costs a rank, its report included, and what a run takes.

    Attributes:
        strategy: collectives of the strategy's groups.
        control: small messages between hosts, along a tree or as collectives.
        start: the same before the first step.
        counted, expected: bytes by collective that a step sent, and that it should send.
        random_words: 64-bit words drawn by position.
        python_lines: lines of Python executed.
        seconds: of the process's time, arithmetic included.
        written: bytes in the run directory.
        printed: lines on standard output.
        start_seconds: from the first line of the run to its first step.
        memory: bytes, at most, beyond what imports take.
        connections: to other ranks, where each is made when it is used.
    """

    strategy: Collectives
    control: Collectives
    start: Collectives
    counted: Mapping[str, int]
    expected: Mapping[str, int]
    random_words: int
    python_lines: int
    seconds: float
    written: int
    printed: int
    start_seconds: float
    memory: int
    connections: int


def count(ranks: int, flags: Sequence[str]) -> Costs:
    """Train a few steps as the first of `ranks` ranks. Call it once in a process, which is of no use afterwards.

    Args:
        flags: the experiment's.

    Raises:
        UsageError: the experiment cannot work on that many ranks.
    """
    rounds.ROUND_SECONDS = 0.0  # a round with each step
    figures.SAMPLE = ranks  # this rank is in each sample: the others, which take turns, are not there
    imported = psutil.Process().memory_info().rss
    enter_simulated_world(ranks)
    with temporary_folder("alexnet-scaling-") as folder:
        observer = _Observer(folder / "run", simulate_trees())
        own = [word for name, value in _FLAGS.items() for word in (f"--{name}", str(value))]
        with redirect_stdout(observer.output):
            train(load([*flags, *own, "--run.dir", str(observer.run_dir)]), observer, observer.make)
        traffic = json.loads((observer.run_dir / SUMMARY).read_text())["comm_bytes_per_step"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _costs(observer, traffic, peak - imported)


@dataclass(frozen=True)
class _Moment:
    """What was counted up to a moment."""

    totals: Mapping[Channel, Sent]
    tree: TreeMessages
    words: int
    lines: int
    written: int
    printed: int
    clock: float
    process_clock: float


class _Observer(ExitStatus):
    """Records the counters whenever the run reports what it does next.

    Args:
        run_dir: the run directory.
        tree: counts the messages that go along trees.
    """

    components: Components

    def __init__(self, run_dir: Path, tree: TreeMessages) -> None:
        super().__init__()
        self.run_dir, self.tree = run_dir, tree
        self.lines, self.output, self.rng = LineCounter(), PrintedLines(), CountingRng(0)
        self.moments: dict[str, _Moment] = {}
        self.at(START)

    def at(self, where: str) -> None:
        super().at(where)
        time.sleep(SETTLED)
        if where == LAST:
            self.lines.stop()
        self.moments[where] = _Moment(
            {channel: replace(sent) for channel, sent in traffic_counter().totals.items()},
            replace(self.tree),
            self.rng.drawn,
            self.lines.lines,
            bytes_under(self.run_dir),
            self.output.lines,
            time.perf_counter(),
            time.process_time(),
        )
        if where == TRACED:
            self.lines.start()

    def make(self, experiment: Experiment, accelerator: Accelerator, world: World, resumes: bool) -> Components:
        """As `build`, but the samples of the simulated ranks may be missing."""
        self.components = made = assemble(experiment, accelerator, world, self.rng, resumes)
        with suppress(RuntimeError):
            check_samples(world, made.engine.samples, made.micro_batches(0, 1), made.order)
        return made


def _costs(observer: _Observer, traffic: Mapping[str, Mapping[str, int]], memory: int) -> Costs:
    group = observer.components.world.control
    assert group is not None, "there are several ranks"
    control = group.group_name
    start, first, counted, traced, last = (observer.moments[name] for name in (START, FIRST, COUNTED, TRACED, LAST))
    return Costs(
        strategy=_collectives(counted, traced, lambda group: group != control),
        control=_small_messages(counted, traced, control),
        start=_small_messages(start, first, control),
        counted=traffic["counted"],
        expected=traffic["expected"],
        random_words=traced.words - counted.words,
        python_lines=last.lines - traced.lines,
        seconds=traced.process_clock - counted.process_clock,
        written=traced.written - counted.written,
        printed=traced.printed - counted.printed,
        start_seconds=first.clock - start.clock,
        memory=memory,
        connections=_connections(last),
    )


def _collectives(before: _Moment, after: _Moment, chosen: Callable[[str], bool]) -> Collectives:
    """Those between two moments, on the groups whose names are chosen."""
    found = {channel: sent for channel, sent in after.totals.items() if chosen(channel.group)}
    earlier = {channel: before.totals.get(channel, Sent()) for channel in found}
    calls = {channel: sent.calls - earlier[channel].calls for channel, sent in found.items()}
    return Collectives(
        calls=sum(calls.values()),
        messages=sum(number * messages(channel.collective, channel.ranks) for channel, number in calls.items()),
        hops=sum(number * hops(channel.collective, channel.ranks) for channel, number in calls.items()),
        bytes=sum(sent.bytes - earlier[channel].bytes for channel, sent in found.items()),
    )


def _small_messages(before: _Moment, after: _Moment, control: str) -> Collectives:
    """What went along trees, and as collectives of the group of that name."""
    others = _collectives(before, after, lambda group: group == control)
    return Collectives(
        calls=others.calls + after.tree.calls - before.tree.calls,
        messages=others.messages + after.tree.messages - before.tree.messages,
        hops=others.hops + after.tree.hops - before.tree.hops,
        bytes=others.bytes + after.tree.bytes - before.tree.bytes,
    )


def _connections(moment: _Moment) -> int:
    by_group: dict[str, int] = {}
    for channel in moment.totals:
        by_group[channel.group] = max(by_group.get(channel.group, 0), peers(channel.collective, channel.ranks))
    return sum(by_group.values()) + moment.tree.children
