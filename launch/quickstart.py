"""AlexNet on real images with what this machine has: data parallelism, the two-GPU split of 2012, and a comparison.

    launch/quickstart.sh                                sets .venv up and runs this
    launch/quickstart.sh --net.name alexnet_2012        arguments go through to every run and to the comparison

Runs, comparison and a picture of the net go to runs/quickstart and runs/compare/quickstart, in place of the last ones.
All settings: alexnet-dist train --help.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from alexnet_dist.config.load import load
from alexnet_dist.config.precisions import cpu_multiplies_bf16, multiplies_bf16
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.operations import training_operations
from alexnet_dist.distributed.devices import check_built_for, gpu_count, own_device
from alexnet_dist.distributed.host_cpu import use_own_cores
from alexnet_dist.errors import INTERRUPTED, USAGE, UsageError
from alexnet_dist.registry import precisions
from alexnet_dist.telemetry.matrix_rate import matrix_rate
from alexnet_dist.temporary import temporary_folder

CLI = [sys.executable, "-m", "alexnet_dist.cli"]
RUNS = Path("runs/quickstart")
TRAINED = ["--config", "configs/quickstart.yaml", "--run.overwrite", "true"]
COMPARED = ["--config", "configs/compare/quickstart.yaml", "--overwrite", "true"]
# On GPUs: the most epochs; the seconds that each strategy may take; the share of the rate of matrix products that a
# step reaches: that of alexnet_2012 on an H100. The quickstart's own net was not measured on a GPU.
GPU_EPOCHS, GPU_SECONDS, GPU_SHARE = 10, 150.0, 0.08
IMAGES = 60_000  # Fashion-MNIST's
# On a CPU: seconds that each strategy's steps may take; what part of the rate of matrix products a step reaches; the
# batches to choose from: the largest that leaves time for so many steps, since after ten a net has learnt nothing.
CPU_SECONDS, CPU_SHARE = 100.0, 0.45
CPU_BATCHES, CPU_STEPS = (128, 64, 32), 40


@dataclass(frozen=True)
class Plan:
    """What is trained and compared.

    Attributes:
        about: one line for the reader.
        single: flags of a run of one process on the only GPU; None leaves it out.
        ranks: flags of the runs on two ranks.
        comparison: flags of the comparison.
        on_cpu: whether the two ranks compute on the CPU.
    """

    about: str
    single: list[str] | None
    ranks: list[str]
    comparison: list[str]
    on_cpu: bool


def plan(gpus: int, gpu_precision: str, gpu_epochs: int, cpu_precision: str, cpu_batch: int, cpu_steps: int) -> Plan:
    """What to do on a machine.

    Args:
        gpus: that torch can use.
        gpu_precision, cpu_precision: values of `train.precision`.
        gpu_epochs: of each run on GPUs.
        cpu_batch, cpu_steps: of each run on the CPU.
    """
    epochs = ["--train.epochs", str(gpu_epochs), "--train.precision", gpu_precision]
    shown = f"{gpu_epochs} epoch{'s' if gpu_epochs > 1 else ''}"
    if gpus >= 2:
        about = f"{gpus} GPUs here: ddp and split on two of them, {shown} each in {gpu_precision}"
        return Plan(about, None, epochs, ["--train.precision", gpu_precision], on_cpu=False)
    here = f"one GPU here: {shown} in one process on it; then" if gpus else "no GPU here:"
    about = f"{here} two ranks on the CPU in {cpu_precision}, {cpu_steps} steps of {cpu_batch} images each"
    if cpu_steps < CPU_STEPS:
        about += " (the CPU is slow or busy: so few steps teach little)"
    few = ["--train.global_batch", str(cpu_batch), "--train.max_steps", str(cpu_steps)]
    few += ["--train.evaluate_samples", "2000", "--train.precision", cpu_precision]
    comparison = ["--seconds", "0", "--train.precision", cpu_precision]
    return Plan(about, epochs if gpus else None, few, comparison, on_cpu=True)


def on_cpu(given: Sequence[str]) -> Experiment:
    """What is trained on the CPU: in the precision that it computes fastest, unless the user's flags say otherwise."""
    precision = "bf16" if cpu_multiplies_bf16() else "fp32"
    return resolve(load([*TRAINED, "--strategy.name", "single", "--train.precision", precision, *given]), 1)


def cpu_batches(given: Sequence[str]) -> Sequence[int]:
    """The batches to choose from, the largest first: what the user's flags say, if they do."""
    train = load(given).train
    return (train.global_batch,) if "global_batch" in train.model_fields_set else CPU_BATCHES


def cpu_batch_and_steps(
    operations_per_second: float, experiment: Experiment, batches: Sequence[int]
) -> tuple[int, int]:
    """The batch, and the steps that the CPU takes in `CPU_SECONDS`, at most an epoch's.

    Args:
        operations_per_second: of matrix products.
        batches: see `cpu_batches`.
    """
    images = CPU_SECONDS * CPU_SHARE * operations_per_second / training_operations(table_of(experiment.net))
    batch = next((batch for batch in batches if images / batch >= CPU_STEPS), batches[-1])
    return batch, min(max(round(images / batch), 5), max(IMAGES // batch, 1))


def gpu_epochs(operations_per_second: float, experiment: Experiment) -> int:
    """Epochs that a GPU takes in `GPU_SECONDS`, one to `GPU_EPOCHS`.

    Args:
        operations_per_second: of matrix products.
    """
    images = GPU_SECONDS * GPU_SHARE * operations_per_second / training_operations(table_of(experiment.net))
    return min(max(int(images / IMAGES), 1), GPU_EPOCHS)


def _plan_here(given: Sequence[str]) -> Plan:
    check_built_for(own_device(0))
    gpus, experiment, batch, steps, epochs = gpu_count(), on_cpu(given), 0, 0, 0
    precision = "bf16" if multiplies_bf16(own_device(0)) else "fp32"
    if gpus:
        epochs = gpu_epochs(_gpu_rate(precision), experiment)
    if gpus < 2:
        use_own_cores()
        dtype = getattr(torch, precisions[experiment.train.precision].compute)
        batch, steps = cpu_batch_and_steps(matrix_rate(dtype, seconds=2.0), experiment, cpu_batches(given))
    return plan(gpus, precision, epochs, experiment.train.precision, batch, steps)


def _gpu_rate(precision: str) -> float:
    """Of matrix products, by a process that leaves the GPU's memory to those that train."""
    with temporary_folder("alexnet-quickstart-") as folder:
        output = folder / "rate.json"
        program = ["-m", "alexnet_dist.telemetry.matrix_rate", "--precision", precision, "--output", str(output)]
        _run([sys.executable, *program], {})
        return float(json.loads(output.read_text())["rate"])


def _run(program: Sequence[str], environment: dict[str, str]) -> None:
    """
    Raises:
        SystemExit: it failed, with its exit code.
    """
    code = subprocess.run(program, env={**os.environ, **environment}, check=False).returncode
    if code:
        sys.exit(code)


def _note_an_old_driver() -> None:
    if gpu_count() == 0 and shutil.which("nvidia-smi"):
        shown = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False).stdout
        version = shown.partition("CUDA Version: ")[2].split(" ")[0]
        cuda = f" (CUDA {version})" if version else ""
        print(f"note: torch cannot use this machine's GPU driver{cuda}: install a torch build for it into .venv")


def check_given(given: Sequence[str]) -> None:
    """
    Raises:
        UsageError: a flag would change where the runs are, or what is compared.
    """
    for word in given:
        if word.startswith(("--run.", "--strategy.name", "--config")):
            raise UsageError(word.partition("=")[0], "given", "the quickstart sets it: use launch/train.py")


def main(given: Sequence[str]) -> None:
    if {"-h", "--help"} & set(given):
        print(__doc__)
        return
    check_given(given)
    os.chdir(Path(__file__).parents[1])
    _note_an_old_driver()
    plan = _plan_here(given)
    print(f"{plan.about}; then a short comparison; under ten minutes", flush=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    picture = RUNS / "net.svg"
    picture.unlink(missing_ok=True)
    _run([*CLI, "layers", *TRAINED, "--format", "svg", "--output", str(picture), *given], {})
    if plan.single is not None:
        own = ["--strategy.name", "single", "--run.dir", str(RUNS / "single"), *plan.single]
        _run([*CLI, "launch", "--ranks", "1", "--", *TRAINED, *own, *given], {})
    environment = {"ACCELERATE_USE_CPU": "true"} if plan.on_cpu else {}
    for strategy in ("ddp", "split"):
        own = ["--strategy.name", strategy, "--run.dir", str(RUNS / strategy), *plan.ranks]
        _run([*CLI, "launch", "--ranks", "2", "--", *TRAINED, *own, *given], environment)
    _run([*CLI, "runs", str(RUNS / "ddp"), str(RUNS / "split")], environment)
    _run([*CLI, "compare", *COMPARED, *plan.comparison, *given], environment)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt:  # the run that it stopped has reported it
        sys.exit(INTERRUPTED)
