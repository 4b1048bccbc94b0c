"""Lines that measure steps: how fast they are, and where their time goes."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, product
from math import ceil

import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEventAvg
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from alexnet_dist import registry
from alexnet_dist.config.load import load
from alexnet_dist.config.precisions import set_switches
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.costs.operations import training_operations
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.gpu_check.setup import Figures, Setup
from alexnet_dist.gpu_check.trained import Trained, trained
from alexnet_dist.launcher.out_of_memory import out_of_memory
from alexnet_dist.nets.table import Conv, ShapedLayer
from alexnet_dist.telemetry.hardware import device_name
from alexnet_dist.telemetry.peaks import model_flops_utilisation
from alexnet_dist.telemetry.throughput import images_per_second

SHOWN, NAME = 24, 110  # kernels, and characters of their names
STEPS = 20
SECONDS, MOST_STEPS = 1.0, 500  # of steps whose rate is taken: twenty may be over before a clock has settled
HELD = 2  # steps that a device queues: it takes 1024 kernels, and a step has some 110
HELD_CYCLES = 300_000_000  # of a device's clock, 0.15 s: the host queues the steps meanwhile


def step(setup: Setup) -> Figures:
    """A step at batch 128: its rate, where its time goes, and the kernels that take most of it."""
    batch = 8 if setup.small else 128
    with trained(setup, *_in_half(setup, batch)) as run:
        yield f"batch {batch}", _rate(setup, run)
        yield "ms a step", _parts(setup, run)
        yield from _kernels(setup, run)


def speed(setup: Setup) -> Figures:
    """The same for other batches, and without the response norm. A batch too large for the device is no failure."""
    cases = [(8, "false")] if setup.small else [(128, "false"), *product((1024, 256), ("true", "false")), (32, "true")]
    for batch, norm in cases:
        name = f"batch {batch}{'' if norm == 'true' else ', no norm'}"
        try:
            figure = _rate_and_parts(setup, *_in_half(setup, batch), "--net.norm", norm)
        except Exception as error:
            if (asked_for := out_of_memory(error)) is None:
                raise
            figure = f"does not fit ({asked_for})"
        setup.settle()
        yield name, figure


def compiled(setup: Setup) -> Figures:
    """A step at batch 128 with `train.compile`."""
    batch = 8 if setup.small else 128
    yield f"batch {batch}, compiled", _rate_and_parts(setup, *_in_half(setup, batch), "--train.compile", "true")


def _rate_and_parts(setup: Setup, *flags: str) -> str:
    """A run's images/s, and its parts; its memory is free on return."""
    with trained(setup, *flags) as run:
        return f"{_rate(setup, run)}; {_parts(setup, run)}"


def _in_half(setup: Setup, batch: int) -> list[str]:
    return ["--train.global_batch", str(batch), "--train.precision", setup.half]


def _rate(setup: Setup, run: Trained) -> str:
    """Images/s and MFU, of a second of steps."""
    run.take(3 if setup.small else STEPS)
    steps = run.meter.flush()
    if not setup.small:
        run.take(min(MOST_STEPS, ceil(SECONDS / steps[-1].seconds)))
        steps = run.meter.flush()
    rate = images_per_second([step.samples for step in steps], [step.seconds for step in steps])
    operations = rate * training_operations(run.components.table)
    mfu = model_flops_utilisation(operations, [device_name(setup.device)], setup.half)
    return f"{rate:,.0f} images/s" + (f", MFU {mfu:.1%}" if mfu is not None else "")


def _parts(setup: Setup, run: Trained) -> str:
    """Milliseconds a step of host, device and data by themselves: without the others a step would take the longest."""
    few = 2 if setup.small else 8
    batches = list(islice(run.batches, few + HELD))
    setup.synchronize()
    host = 0.0
    for batch in batches[:few]:  # each begins with nothing queued: a host ahead of its device waits for room
        start = time.perf_counter()
        run.take(1, iter([batch]))
        host += time.perf_counter() - start
        setup.synchronize()
    device = _device_ms(setup, run, batches[few:])
    run.meter.flush()
    loader = run.components.micro_batches(0, few)
    start = time.perf_counter()
    for _ in loader:
        pass
    setup.synchronize()
    data = (time.perf_counter() - start) / few * 1e3
    return f"host {host / few * 1e3:.2f} ms, device {device}, data {data:.2f} ms"


def _device_ms(setup: Setup, run: Trained, batches: Sequence[MicroBatch]) -> str:
    """Milliseconds a step of a device that never waits for the host: it begins when all steps are queued."""
    if not setup.on_gpu:
        return "not apart"
    begins, ends = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(HELD_CYCLES)
    begins.record()
    run.take(len(batches), iter(batches))
    ends.record()
    waited = begins.query()
    ends.synchronize()
    milliseconds = begins.elapsed_time(ends) / len(batches)
    return f"{milliseconds:.2f} ms" + (" or less: it waited for the host" if waited else "")


def _kernels(setup: Setup, run: Trained) -> Figures:
    """How many kernels a step has, their time, and those that take most of it."""
    events = _device_events(setup, run)
    run.meter.flush()
    if not events:
        yield "kernels", "the profiler sees none: it may need permission to read the device's counters"
        return
    launches = sum(event.count for event in events) / STEPS
    yield "kernels", f"{launches:.0f} a step, {sum(map(_device_time, events)):.2f} ms"
    longest = sorted(events, key=_device_time, reverse=True)[:SHOWN]
    for place, event in enumerate(longest, start=1):
        yield f"{place}. {_kernel_name(str(event.key))}", f"{_device_time(event):.3f} ms in {event.count / STEPS:.0f}"


def _kernel_name(name: str) -> str:
    """A kernel's name, shortened: without torch's common prefixes."""
    return name.removeprefix("void ").replace("at::native::", "").replace("(anonymous namespace)::", "")[:NAME]


def _device_events(setup: Setup, run: Trained) -> list[FunctionEventAvg]:
    """What the device computed in `STEPS` steps, by kernel; on a CPU, by operation."""
    with profile(activities=[ProfilerActivity.CUDA if setup.on_gpu else ProfilerActivity.CPU]) as profiler:
        run.take(STEPS)
        setup.synchronize()
    wanted = "CUDA" if setup.on_gpu else "CPU"
    return [event for event in profiler.key_averages() if event.device_type.name == wanted]


def _device_time(event: FunctionEventAvg) -> float:
    """Milliseconds a step."""
    time_us = event.self_device_time_total if event.device_type.name == "CUDA" else event.self_cpu_time_total
    return float(time_us) / STEPS / 1e3


def convolutions(setup: Setup) -> Figures:
    """Forward and backward of each convolution, and of dense ones of half the channels in place of grouped."""
    set_switches(registry.precisions[setup.half])
    batch = 8 if setup.small else 128
    table = table_of(resolve(load([*setup.net, *_in_half(setup, batch)]), 1).net)
    for shaped in (shaped for shaped in table.shaped_layers if isinstance(shaped.layer, Conv)):
        in_format = partial(_convolution_ms, setup, shaped, batch)
        times = {"channels last": in_format(shaped.groups, torch.channels_last)}
        if shaped.groups == 2:
            times["two halves"] = in_format(1, torch.channels_last)
        times["contiguous"] = in_format(shaped.groups, torch.contiguous_format)
        name = f"{shaped.layer.name}{', grouped' if shaped.groups == 2 else ''}"
        yield name, ", ".join(f"{way} {milliseconds:.3f} ms" for way, milliseconds in times.items())


def _convolution_ms(
    setup: Setup, shaped: ShapedLayer, batch: int, groups: int, memory_format: torch.memory_format
) -> float:
    """Of all groups together, each in a convolution of its own where `groups` is 1."""
    assert isinstance(shaped.layer, Conv)
    apart = shaped.groups // groups
    images = _randoms(setup, memory_format, batch, shaped.inputs[0] // apart, *shaped.inputs[1:])
    weight = _randoms(setup, memory_format, shaped.weight[0] // apart, *shaped.weight[1:])
    wanted = (weight,) if shaped.layer.name == "conv1" else (images, weight)
    convolve = partial(functional.conv2d, stride=shaped.layer.stride, padding=shaped.layer.padding[0], groups=groups)
    gradient = torch.ones_like(convolve(images, weight))

    def both() -> None:
        for _ in range(apart):
            torch.autograd.grad(convolve(images, weight), wanted, gradient)

    return _milliseconds(setup, both)


def _randoms(setup: Setup, memory_format: torch.memory_format, *shape: int) -> Tensor:
    dtype = getattr(torch, registry.precisions[setup.half].compute)
    values = torch.randn(shape, device=setup.device, dtype=dtype)
    return values.contiguous(memory_format=memory_format).requires_grad_()


def _milliseconds(setup: Setup, action: Callable[[], None]) -> float:
    for _ in range(3):
        action()
    setup.synchronize()
    start, times = time.perf_counter(), 2 if setup.small else STEPS
    for _ in range(times):
        action()
    setup.synchronize()
    return (time.perf_counter() - start) / times * 1e3
