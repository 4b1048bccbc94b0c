"""Lines that measure steps: how fast they are, and where their time goes."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEventAvg
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.costs.operations import training_operations
from alexnet_dist.gpu_check.setup import Figures, Setup
from alexnet_dist.gpu_check.trained import Trained, trained
from alexnet_dist.nets.table import Conv, ShapedLayer
from alexnet_dist.telemetry.hardware import device_name
from alexnet_dist.telemetry.peaks import model_flops_utilisation
from alexnet_dist.telemetry.throughput import images_per_second

SHOWN = 8  # kernels
STEPS = 20


def speed(setup: Setup) -> Figures:
    """Images/s and MFU in bf16, by batch, with the response norm and without."""
    table = table_of(resolve(load(setup.net), 1).net)
    found = {}
    for batch in (8,) if setup.small else (32, 128, 256, 1024):
        for norm in ("true", "false"):
            with trained(setup, *_in_bf16(batch), "--net.norm", norm) as run:
                run.take(3 if setup.small else STEPS)
                steps = run.meter.flush()
            rate = images_per_second([step.samples for step in steps], [step.seconds for step in steps])
            mfu = model_flops_utilisation(rate * training_operations(table), [device_name(setup.device)], "bf16")
            shown = f"{rate:,.0f} images/s" + (f", MFU {mfu:.1%}" if mfu is not None else "")
            found[f"batch {batch}{'' if norm == 'true' else ', no norm'}"] = shown
    return found


def _in_bf16(batch: int) -> list[str]:
    return ["--train.global_batch", str(batch), "--train.precision", "bf16"]


def kernels(setup: Setup) -> Figures:
    """Where a step's time goes: the host's, the device's, and the kernels that take most of it."""
    found: dict[str, object] = {}
    for batch in (8,) if setup.small else (128, 1024):
        with trained(setup, *_in_bf16(batch)) as run:
            issued, whole = _seconds_a_step(setup, run)
            events = _device_events(setup, run)
        device, launches = sum(map(_device_time, events)), sum(event.count for event in events) / STEPS
        found[f"batch {batch}"] = (
            f"{whole * 1e3:.2f} ms a step: issuing {issued * 1e3:.2f}, device {device:.2f}, {launches:.0f} kernels"
        )
        for event in sorted(events, key=_device_time, reverse=True)[:SHOWN]:
            found[f"batch {batch}: {str(event.key)[:60]}"] = (
                f"{_device_time(event):.3f} ms in {event.count / STEPS:.0f}"
            )
    return found


def _seconds_a_step(setup: Setup, run: Trained) -> tuple[float, float]:
    """Seconds a step until the host has issued it, and until the device has done it."""
    _synchronize(setup)
    start = time.perf_counter()
    run.take(STEPS)
    issued = time.perf_counter() - start
    _synchronize(setup)
    return issued / STEPS, (time.perf_counter() - start) / STEPS


def _device_events(setup: Setup, run: Trained) -> list[FunctionEventAvg]:
    """What the device computed in `STEPS` steps, by kernel; on a CPU, by operation."""
    with profile(activities=[ProfilerActivity.CUDA if setup.on_gpu else ProfilerActivity.CPU]) as profiler:
        run.take(STEPS)
        _synchronize(setup)
    wanted = "CUDA" if setup.on_gpu else "CPU"
    return [event for event in profiler.key_averages() if event.device_type.name == wanted]


def _device_time(event: FunctionEventAvg) -> float:
    """Milliseconds a step."""
    time_us = event.self_device_time_total if event.device_type.name == "CUDA" else event.self_cpu_time_total
    return float(time_us) / STEPS / 1e3


def convolutions(setup: Setup) -> Figures:
    """Forward and backward in bf16 of each grouped convolution, and of two dense ones of half the channels instead."""
    table = table_of(resolve(load([*setup.net, *_in_bf16(128)]), 1).net)
    found = {}
    for batch in (8,) if setup.small else (128, 1024):
        for shaped in table.shaped_layers:
            if isinstance(shaped.layer, Conv) and shaped.groups == 2:
                grouped, halves = (_convolution_ms(setup, shaped, batch, groups) for groups in (2, 1))
                found[f"{shaped.layer.name}, batch {batch}"] = f"grouped {grouped:.3f} ms, two halves {halves:.3f} ms"
    return found


def _convolution_ms(setup: Setup, shaped: ShapedLayer, batch: int, groups: int) -> float:
    """Of all groups together, each in a convolution of its own where `groups` is 1."""
    assert isinstance(shaped.layer, Conv)
    apart = shaped.groups // groups
    images = _bf16(setup, batch, shaped.inputs[0] // apart, *shaped.inputs[1:])
    weight = _bf16(setup, shaped.weight[0] // apart, *shaped.weight[1:])
    convolve = partial(functional.conv2d, stride=shaped.layer.stride, padding=shaped.layer.padding[0], groups=groups)
    gradient = torch.ones_like(convolve(images, weight))

    def both() -> None:
        for _ in range(apart):
            torch.autograd.grad(convolve(images, weight), (images, weight), gradient)

    return _milliseconds(setup, both)


def _bf16(setup: Setup, *shape: int) -> Tensor:
    values = torch.randn(shape, device=setup.device, dtype=torch.bfloat16)
    return values.contiguous(memory_format=torch.channels_last).requires_grad_()


def _milliseconds(setup: Setup, action: Callable[[], None]) -> float:
    for _ in range(3):
        action()
    _synchronize(setup)
    start, times = time.perf_counter(), 2 if setup.small else STEPS
    for _ in range(times):
        action()
    _synchronize(setup)
    return (time.perf_counter() - start) / times * 1e3


def _synchronize(setup: Setup) -> None:
    if setup.on_gpu:
        torch.cuda.synchronize(setup.device)
