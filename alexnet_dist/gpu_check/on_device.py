"""Lines that need one process."""

import platform
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path

import torch

from alexnet_dist import registry
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.distributed.cores import available_cores
from alexnet_dist.distributed.devices import gpu_toolkit
from alexnet_dist.errors import UsageError
from alexnet_dist.gpu_check.setup import Figures, Setup, require
from alexnet_dist.gpu_check.trained import trained
from alexnet_dist.kernels.availability import kernel_problem
from alexnet_dist.rng import Rng
from alexnet_dist.strategies.parts.loss_scale import START, LossScale
from alexnet_dist.telemetry.hardware import device_name
from alexnet_dist.telemetry.versions import versions
from alexnet_dist.training.checkpoints.host_copies import HostCopies


def machine(setup: Setup) -> Figures:
    """Versions, devices, and whether kernels of our own run."""
    yield from {"device": device_name(setup.device), "host": platform.node(), **versions()}.items()
    yield "CPUs", available_cores()
    yield "norm", kernel_problem(setup.device) or "by a kernel of our own"
    if setup.on_gpu:
        free, total = torch.cuda.mem_get_info(setup.device)
        yield "driver", _driver()
        yield "cuda", gpu_toolkit()
        yield "cudnn", torch.backends.cudnn.version()
        gpus = [device_name(torch.device("cuda", number)) for number in range(torch.cuda.device_count())]
        yield "gpus", f"{len(gpus)}: {', '.join(dict.fromkeys(gpus))}"
        yield "memory", f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free"


def _driver() -> str:
    """The kernel module of NVIDIA's driver, as it describes itself."""
    try:
        return Path("/proc/driver/nvidia/version").read_text().partition("\n")[0].partition(": ")[2].strip()
    except OSError:
        return "not NVIDIA's"


def arithmetic(setup: Setup) -> Figures:
    """Pixels and dropout masks against the CPU's, fp16's loss scale."""
    pixels = Rng(0).random_bytes("check", torch.arange(8), 28 * 28).view(8, 1, 28, 28)
    ours, theirs = (InputTransform(224, torch.float32)(pixels.to(place)).cpu() for place in (setup.device, "cpu"))
    counts = float((ours - theirs).abs().max() * 255)
    yield "pixels", f"{counts:.2f} counts"
    require(counts < 1.01, f"pixels are {counts:.1f} counts from the CPU's")
    masks = [
        Rng(0).dropout_mask("drop6", 2**40, 0.3, slice(4, 132), slice(2049, 4095), torch.device(place)).cpu()
        for place in (setup.device, "cpu")
    ]
    require(torch.equal(*masks), "dropout masks differ from the CPU's")
    yield "masks", "the CPU's"
    scale = LossScale(setup.device)
    skipped = scale.update(torch.tensor(float("inf"), device=setup.device))
    require(bool(skipped) and float(scale.factor) == START / 2, "a step that overflows is not skipped")
    yield "overflow", "skipped"


def precisions(setup: Setup) -> Figures:
    """The loss after a few steps in each precision that the device has."""
    # fp64 and emulated bf16 last, and few images: some devices compute these a hundred times slower.
    slow = {"fp64"} | ({"bf16"} - {setup.half})
    names = sorted(registry.precisions.names(), key=lambda name: name in slow)
    for precision in ("fp32", "bf16") if setup.small else names:
        try:
            registry.precisions[precision].check(setup.device)
        except UsageError:
            continue
        with trained(setup, "--train.global_batch", "8", "--train.precision", precision) as run:
            run.take(5)
            loss = run.meter.flush()[-1].loss
        require(isfinite(loss), f"{precision}: the loss is {loss}")
        yield precision, f"loss {loss:.3f}"


def no_waiting(setup: Setup) -> Figures:
    """Steps during which torch refuses every operation that waits for the device."""
    steps = 5
    with trained(setup, "--train.clip_norm", "1", "--train.global_batch", "32") as run:
        if setup.on_gpu:
            torch.cuda.set_sync_debug_mode("error")
        try:
            run.take(steps)
        finally:
            if setup.on_gpu:
                torch.cuda.set_sync_debug_mode("default")
        losses = [record.loss for record in run.meter.flush()]
    require(len(losses) == steps, "steps are missing")
    yield "steps", steps


def checkpoint(setup: Setup) -> Figures:
    """Seconds for which copying a state blocks training: into pageable memory, and as checkpoints do."""
    values = 1 << (16 if setup.small else 26)
    state = {f"part {part}": torch.randn(values, device=setup.device) for part in range(3)}
    copies = HostCopies()
    copies.copy(state)  # takes the memory
    copies.wait()
    pageable = _seconds(setup, lambda: [value.cpu() for value in state.values()])
    yield f"pageable, {12 * values / 1e6:.0f} MB", f"{pageable:.3f} s"
    pinned = _seconds(setup, lambda: copies.copy(state))
    yield "as checkpoints do", f"{pinned:.3f} s"
    copies.wait()
    copied = copies.copy(state)
    copies.wait()
    require(all(torch.equal(copied[name], value.cpu()) for name, value in state.items()), "a copy differs")


def _seconds(setup: Setup, action: Callable[[], object]) -> float:
    setup.synchronize()
    start = time.perf_counter()
    _made = action()  # freed only once the time is taken
    return time.perf_counter() - start
