"""Lines that need one process."""

import platform
import time
from math import isfinite

import torch
from torch import Tensor

from alexnet_dist import registry
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.errors import UsageError
from alexnet_dist.gpu_check.setup import Figures, Setup, require
from alexnet_dist.gpu_check.trained import trained
from alexnet_dist.kernels import check
from alexnet_dist.rng import Rng
from alexnet_dist.strategies.parts.loss_scale import START, LossScale
from alexnet_dist.telemetry.hardware import device_name
from alexnet_dist.telemetry.versions import versions
from alexnet_dist.training.checkpoints.host_copies import HostCopies


def machine(setup: Setup) -> Figures:
    """Versions and devices."""
    found: dict[str, object] = {"device": device_name(setup.device), "host": platform.node(), **versions()}
    if setup.on_gpu:
        found["cuda"] = str(torch.version.cuda)
        found["gpus"] = torch.cuda.device_count()
        found["memory"] = f"{torch.cuda.get_device_properties(setup.device).total_memory / 2**30:.0f} GiB"
    return found


def arithmetic(setup: Setup) -> Figures:
    """The response norm against its formula, pixels and dropout masks against the CPU's, fp16's loss scale."""
    worst = 0.0
    shape = (2, 16, 5, 5) if setup.small else (8, 96, 27, 27)
    for case in check.cases(setup.device, shape[1]):
        if case.memory_format != torch.channels_last and case.dtype != torch.float32:
            continue  # Triton compiles for each, a second or more
        error = max(check.errors(case, setup.device, shape))
        require(error <= check.TOLERANCES[case.dtype], f"response norm, {case}: {error:.1e} from the formula")
        worst = max(worst, error / check.TOLERANCES[case.dtype])
    pixels = Rng(0).random_bytes("check", torch.arange(8), 28 * 28).view(8, 1, 28, 28)
    ours, theirs = (InputTransform(224, torch.float32)(pixels.to(place)).cpu() for place in (setup.device, "cpu"))
    counts = float((ours - theirs).abs().max() * 255)
    require(counts < 1.01, f"pixels are {counts:.1f} counts from the CPU's")
    masks = [
        Rng(0).dropout_mask("drop6", 3, 0.5, slice(4, 20), slice(0, 64), torch.device(place)).cpu()
        for place in (setup.device, "cpu")
    ]
    require(torch.equal(*masks), "dropout masks differ from the CPU's")
    scale = LossScale(setup.device)
    skipped = scale.update(torch.tensor(float("inf"), device=setup.device))
    require(bool(skipped) and float(scale.factor) == START / 2, "a step that overflows is not skipped")
    return {"norm": f"{worst:.2f} of the tolerance at most", "pixels": f"{counts:.2f} counts"}


def precisions(setup: Setup) -> Figures:
    """The loss after a few steps in each precision that the device has."""
    found = {}
    for precision in ("fp32", "bf16") if setup.small else registry.precisions.names():
        try:
            registry.precisions[precision].check(setup.device)
        except UsageError:
            continue
        with trained(setup, "--train.global_batch", "32", "--train.precision", precision) as run:
            run.take(5)
            loss = run.meter.flush()[-1].loss
        require(isfinite(loss), f"{precision}: the loss is {loss}")
        found[precision] = f"loss {loss:.3f}"
    return found


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
    return {"steps": steps}


def checkpoint(setup: Setup) -> Figures:
    """Seconds for which copying a state blocks training: into pageable memory, and as checkpoints do."""
    values = 1 << (16 if setup.small else 26)
    state = {f"part {part}": torch.randn(values, device=setup.device) for part in range(3)}
    copies = HostCopies()
    copies.copy(state)  # takes the memory
    copies.wait()
    pageable = _seconds(setup, lambda: [value.cpu() for value in state.values()])
    pinned = _seconds(setup, lambda: copies.copy(state))
    copies.wait()
    copied = copies.copy(state)
    copies.wait()
    require(all(torch.equal(copied[name], value.cpu()) for name, value in state.items()), "a copy differs")
    return {"pageable": f"{pageable:.3f} s", "as checkpoints do": f"{pinned:.3f} s", "MB": f"{12 * values / 1e6:.0f}"}


def _seconds(setup: Setup, action: object) -> float:
    assert callable(action)
    if setup.on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    result: Tensor | object = action()
    seconds = time.perf_counter() - start
    del result
    return seconds
