"""The commands. Nothing but wiring: each finds its flags and calls one function."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from alexnet_dist.config.load import describe, fields_help, load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.errors import RunFailed, UsageError
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.environment import promised_world
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of, named_folder
from alexnet_dist.launcher.slurm import adopt_srun_tasks, refuse_separate_launchers

TRAIN_HELP = """Train as an experiment says: --config FILE, and a dotted flag for every field.

  --config FILE                an experiment in YAML, such as configs/fashion_mnist.yaml
  --print_config               show the resolved experiment and what differs from the defaults, and stop
"""


STRATEGIES_HELP = """What each strategy does, and the memory that it takes for the given net.

  --ranks N                    ranks to share it [2]
"""


PARITY_HELP = """Train under each strategy and in one process from the same start, and compare every tensor.

  --strategies LIST            strategies, separated by commas [ddp,split]
  --ranks LIST                 numbers of ranks to try each on [2]
  --steps N                    optimiser steps [10]
"""


COMPARE_HELP = """Which strategy is faster here, by how much and why, and is it still the same training?

alexnet-dist compare --strategies single,ddp,ddp:bf16,split --ranks 2 --global-batches 32,128 --net.name alexnet_2012
alexnet-dist compare --config configs/compare/NAME.yaml   the same from a file; interrupted, the same command goes on
alexnet-dist compare --from runs/compare/NAME             draw the report again without running

  --print-command              show the line that starts each run, and stop
  --compare.FIELD              as below, also without "compare.": --rounds 5
"""


def train(flags: Sequence[str]) -> int:
    """`launch/train.py` and `alexnet-dist train`."""
    if "--help" in flags or "-h" in flags:
        print(TRAIN_HELP + fields_help())
        return 0
    given = [flag for flag in flags if flag != "--print_config"]
    adopt_srun_tasks(os.environ)

    def run(ending: ExitStatus) -> None:
        refuse_separate_launchers(os.environ)
        experiment = load(given)
        resolved = resolve(experiment, promised_world(os.environ))
        if len(given) < len(flags):
            ending.folder = None  # a look at the settings is no run
            print(describe(resolved, experiment))
            return
        # Imported here: torch and Accelerate take seconds, a slip in a flag should not.
        with quick_imports():
            from alexnet_dist.training.train import train_experiment

        train_experiment(resolved, ending)

    return exit_code_of(run, ExitStatus(named_folder(given)))


def export(flags: Sequence[str]) -> int:
    """`alexnet-dist export`."""
    parser = argparse.ArgumentParser("alexnet-dist export", description="A checkpoint's weights for other programs.")
    parser.add_argument("--checkpoint", required=True, help="a checkpoint, or the folder of a run")
    parser.add_argument("--format", default="safetensors", help="safetensors or torchvision [safetensors]")
    parser.add_argument("--output", required=True, help="the file to write")
    arguments = parser.parse_args(flags)

    def write() -> int:
        from alexnet_dist.training.export import export

        export(Path(arguments.checkpoint), arguments.format, Path(arguments.output))
        return 0

    return _exit_code(write)


def evaluate(flags: Sequence[str]) -> int:
    """`alexnet-dist evaluate`, in every rank that a launcher started."""
    parser = argparse.ArgumentParser("alexnet-dist evaluate", description="Accuracy of a checkpoint on test images.")
    parser.add_argument("--checkpoint", required=True, help="a checkpoint, or the folder of a run")
    arguments, rest = parser.parse_known_args(flags)

    def run(_: ExitStatus) -> None:
        from alexnet_dist.training.evaluate_checkpoint import evaluate_checkpoint

        evaluate_checkpoint(Path(arguments.checkpoint), rest)

    return exit_code_of(run, ExitStatus())


def launch(flags: Sequence[str]) -> int:
    """`alexnet-dist launch`."""
    from alexnet_dist.launcher.supervisor import run

    return _exit_code(lambda: run(flags))


def parity(flags: Sequence[str]) -> int:
    """`alexnet-dist parity`."""
    if "--help" in flags or "-h" in flags:
        print(PARITY_HELP + fields_help())
        return 0
    from alexnet_dist.parity.verdict import run

    return _exit_code(lambda: run(flags))


def compare(flags: Sequence[str]) -> int:
    """`launch/compare.py` and `alexnet-dist compare`."""
    if "--help" in flags or "-h" in flags:
        from alexnet_dist.compare.config import Comparison

        print(COMPARE_HELP + fields_help(Comparison))
        return 0
    from alexnet_dist.commands.compare import run

    return _exit_code(lambda: run(flags))


def data(flags: Sequence[str]) -> int:
    """`alexnet-dist data fetch`."""
    parser = argparse.ArgumentParser("alexnet-dist data", description="Get Fashion-MNIST where it is missing.")
    parser.add_argument("action", choices=["fetch"])
    parser.add_argument("--root", help="folder; default: a usual place that has it, else ~/Datasets/FashionMNIST")
    parser.add_argument("--mirror", action="append", help="address of a folder with the files; may be repeated")
    arguments = parser.parse_args(flags)
    from alexnet_dist.data.fashion_mnist_download import fetch

    def get() -> int:
        print(f"Fashion-MNIST is in {fetch(arguments.root, arguments.mirror)}")
        return 0

    return _exit_code(get)


def bench(flags: Sequence[str]) -> int:
    """`alexnet-dist bench`."""
    from alexnet_dist.bench.runner import run

    return _exit_code(lambda: run(flags))


def runs(flags: Sequence[str]) -> int:
    """`alexnet-dist runs`."""
    parser = argparse.ArgumentParser("alexnet-dist runs", description="A table of finished runs.")
    parser.add_argument("folder", nargs="+", help="a run's own folder, such as runs/alexnet_small-ddp")
    arguments = parser.parse_args(flags)
    from alexnet_dist.commands.runs import show

    return _exit_code(lambda: show([Path(folder) for folder in arguments.folder]))


def strategies(flags: Sequence[str]) -> int:
    """`alexnet-dist strategies`."""
    if "--help" in flags or "-h" in flags:
        print(STRATEGIES_HELP + fields_help())
        return 0
    from alexnet_dist.commands.strategies import run

    return _exit_code(lambda: run(flags))


DOCTOR_HELP = """Say what would go wrong in a training run, and how fast its ranks reach each other.

  --ranks N                    start N ranks on this machine [1]; under srun or a launcher every rank runs this
  --output FILE                also write the speeds of the links there, as JSON
"""


def doctor(flags: Sequence[str]) -> int:
    """`alexnet-dist doctor`."""
    if "--help" in flags or "-h" in flags:
        print(DOCTOR_HELP + fields_help())
        return 0
    adopt_srun_tasks(os.environ)
    from alexnet_dist.commands.doctor import run

    return _exit_code(lambda: run(flags))


def _exit_code(action: Callable[[], int]) -> int:
    """Run a command; what went wrong is one line."""
    try:
        return action()
    except UsageError as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    except RunFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "train": (train, "train one experiment on the ranks that the launcher started"),
    "launch": (launch, "start ranks, pass signals on, return the run's own exit code"),
    "evaluate": (evaluate, "accuracy of a checkpoint on the test images"),
    "export": (export, "a checkpoint's weights for other programs"),
    "parity": (parity, "hold strategies against one process, tensor by tensor"),
    "compare": (compare, "which strategy is faster here, and is it the same training: runs, a table, a report"),
    "strategies": (strategies, "what each splits, moves and needs, and the memory it takes on a rank"),
    "data": (data, "fetch the images"),
    "runs": (runs, "a table of finished runs"),
    "doctor": (doctor, "before a long job: is everything there, how fast are the links"),
    "bench": (bench, "how fast this machine trains, each case against a plain way of doing it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """`alexnet-dist COMMAND`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] in ([], ["--help"], ["-h"]):
        print("alexnet-dist COMMAND [flags]\n")
        for name, (_, summary) in COMMANDS.items():
            print(f"  {name:<10} {summary}")
        return 0
    name, *flags = arguments
    if name not in COMMANDS:
        print(f"error: {UsageError('command', name, 'there are: ' + ', '.join(COMMANDS))}", file=sys.stderr)
        return 2
    return COMMANDS[name][0](flags)


if __name__ == "__main__":
    sys.exit(main())
