"""The faithful model against an independent implementation: two explicit towers, plain PyTorch, no groups."""

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.nets.alexnet import AlexNet, initialise
from alexnet_dist.rng import Rng

Params = dict[str, Tensor]


def tower_part(params: Params, name: str, tower: int) -> tuple[Tensor, Tensor]:
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
    half = len(weight) // 2
    return weight[tower * half : (tower + 1) * half], bias[tower * half : (tower + 1) * half]


def two_towers(params: Params, images: Tensor, masks: Params) -> Tensor:
    """Figure 2 of NIPS 2012 with CHM's order of layers, each tower written out."""
    norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
    padded = f.pad(images, (0, 3, 0, 3))
    lower = []
    for tower in (0, 1):
        x = f.conv2d(padded, *tower_part(params, "conv1", tower), stride=4)
        x = f.relu(f.max_pool2d(norm(x), 3, 2))
        x = f.relu(f.conv2d(x, *tower_part(params, "conv2", tower), padding=2))
        lower.append(f.max_pool2d(norm(x), 3, 2))
    both = torch.cat(lower, 1)
    upper = []
    for tower in (0, 1):
        x = f.relu(f.conv2d(both, *tower_part(params, "conv3", tower), padding=1))
        x = f.relu(f.conv2d(x, *tower_part(params, "conv4", tower), padding=1))
        x = f.conv2d(x, *tower_part(params, "conv5", tower), padding=1)
        upper.append(f.relu(f.max_pool2d(x, 3, 2)).flatten(1))
    x = torch.cat(upper, 1)
    for name, mask in (("fc6", masks["dropout6"]), ("fc7", masks["dropout7"])):
        halves = [f.relu(f.linear(x, *tower_part(params, name, tower))) for tower in (0, 1)]
        x = torch.cat(halves, 1) * mask
    return torch.cat([f.linear(x, *tower_part(params, "fc8", tower)) for tower in (0, 1)], 1)


def test_forward_and_all_gradients() -> None:
    flags = ["--net.name", "alexnet_2012", "--data.name", "synthetic"]
    net = AlexNet(table_of(resolve(load(flags), 1).net)).double()
    initialise(net, Rng(3))
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 224, 224, dtype=torch.float64, generator=generator)
    labels = torch.tensor([3, 977])
    masks = {n: (torch.rand(2, 4096, generator=generator) < 0.5).double() * 2 for n in ("dropout6", "dropout7")}
    params = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}

    ours, theirs = net(images, masks), two_towers(params, images, masks)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    f.cross_entropy(ours, labels).backward()
    f.cross_entropy(theirs, labels).backward()
    for name, parameter in net.named_parameters():
        gradient, expected = parameter.grad, params[name].grad
        assert gradient is not None and expected is not None and expected.norm() > 0
        assert (gradient - expected).norm() / expected.norm() < 1e-12, name
