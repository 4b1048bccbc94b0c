"""The programs that ours is compared with: the usual ways, written out.

    python -m alexnet_dist.bench.baselines tutorial --batch 128 --steps 8 --precision fp32 --output rate.json

writes {"rate": images per second over all ranks} to --output. The bench starts them; `usual` needs a launcher.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
import torchvision
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from alexnet_dist.bench.programs import WARM_UP
from alexnet_dist.config.load import load
from alexnet_dist.config.precisions import set_switches
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.data.sets.fashion_mnist import read_fashion_mnist
from alexnet_dist.distributed.devices import own_device
from alexnet_dist.distributed.host_cpu import use_own_cores
from alexnet_dist.launcher.environment import enter_world
from alexnet_dist.nets.alexnet import AlexNet, initialise
from alexnet_dist.registry import precisions
from alexnet_dist.rng import Rng
from alexnet_dist.telemetry.throughput import images_per_second


class PilImages(Dataset[tuple[Tensor, int]]):
    """Fashion-MNIST as torchvision serves it: one PIL image at a time through the usual transforms."""

    def __init__(self, channels: int) -> None:
        self.pixels, self.labels = read_fashion_mnist(None)["train"]
        self.transform = transforms.Compose(
            [transforms.Grayscale(channels), transforms.Resize((224, 224)), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.pixels[index, 0].numpy())
        return self.transform(image), int(self.labels[index])


def device() -> torch.device:
    """This rank's."""
    return own_device(int(os.environ.get("LOCAL_RANK", "0")))


def timed(step: Callable[[], None], batch: int, steps: int) -> float:
    """Images per second over `steps` steps after the warm-up, on the slowest rank. Collective.

    Args:
        batch: global.
    """
    for _ in range(WARM_UP):
        step()
    _synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _synchronize()
    own = time.perf_counter() - start
    ranks = [own] * (dist.get_world_size() if dist.is_initialized() else 1)
    if dist.is_initialized():
        dist.all_gather_object(ranks, own)
    return images_per_second([batch * steps], [max(ranks)])


def _synchronize() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize(device())


def tutorial(batch: int, steps: int, precision: str) -> float:
    """The tutorials' loop: a plain nn.Sequential, PIL transforms in a DataLoader, fp32, Adam."""
    net = nn.Sequential(
        *(nn.Conv2d(1, 96, 11, stride=4, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(6400, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
        nn.Linear(4096, 10),
    ).to(device())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    batches = iter(DataLoader(PilImages(1), batch_size=batch, shuffle=True, num_workers=2))

    def step() -> None:
        images, labels = (values.to(device()) for values in next(batches))
        optimizer.zero_grad()
        functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return timed(step, batch, steps)


def bare(batch: int, steps: int, precision: str) -> float:
    """Our net in the shortest possible loop: the same batch again and again, no record, no dropout. With torch's
    switches as in training: by default convolutions in fp32 would be in TF32, and their algorithms not measured."""
    set_switches(precisions[precision])
    flags = ["--net.name", "alexnet_fashion", "--net.dropout", "0"]
    net = AlexNet(table_of(resolve(load(flags), 1).net))
    initialise(net, Rng(0))
    net.to(device()).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    images = torch.rand(batch, 1, 224, 224, device=device()).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device()) % 10

    def step() -> None:
        with torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16"):
            logits = net(images)
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return timed(step, batch, steps)


def usual(batch: int, steps: int, precision: str) -> float:
    """The usual Accelerate loop: torchvision's AlexNet, PIL transforms, and net, optimizer and loader all passed to
    `Accelerator.prepare`. Needs a launcher."""
    accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no")
    net = torchvision.models.alexnet(num_classes=10)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loader = DataLoader(PilImages(3), batch_size=batch // accelerator.num_processes, shuffle=True, num_workers=1)
    net, optimizer, loader = accelerator.prepare(net, optimizer, loader)
    batches: Iterator[tuple[Tensor, Tensor]] = iter(loader)

    def step() -> None:
        images, labels = next(batches)
        optimizer.zero_grad()
        accelerator.backward(functional.cross_entropy(net(images), labels))
        optimizer.step()

    return timed(step, batch, steps)


PROGRAMS: dict[str, Callable[[int, int, str], float]] = {
    "tutorial": tutorial,
    "bare": bare,
    "usual": usual,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    enter_world(os.environ)
    use_own_cores()
    rate = PROGRAMS[arguments.program](arguments.batch, arguments.steps, arguments.precision)
    if not dist.is_initialized() or dist.get_rank() == 0:
        with open(arguments.output, "w") as file:
            json.dump({"rate": rate}, file)


if __name__ == "__main__":
    main()
