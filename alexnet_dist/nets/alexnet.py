"""The one-device module of a layer table. It knows nothing of ranks.

Groups follow from the shapes: a layer whose weight has fewer input channels than its input is grouped. So a strategy
may replace a parameter by one tower's part of it, and the module then computes that tower.
"""

import reprlib
from collections.abc import Callable, Mapping
from math import prod
from operator import index
from typing import SupportsIndex

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexnet_dist.kernels.norm_pool import norm_pool_runs_on
from alexnet_dist.kernels.response_norm import response_norm
from alexnet_dist.nets import table as t
from alexnet_dist.nets.merging import merged_layers
from alexnet_dist.rng import Rng


class Conv(nn.Module):
    """A convolution, grouped where its weight sees only a part of the input channels."""

    def __init__(self, shaped: t.ShapedLayer, layer: t.Conv) -> None:
        super().__init__()
        self.stride = layer.stride
        self.padding = layer.padding
        self.weight = nn.Parameter(torch.empty(shaped.weight))
        self.bias = nn.Parameter(torch.empty(layer.filters))

    def forward(self, x: Tensor) -> Tensor:
        before, after = self.padding
        if before != after:
            x = functional.pad(x, (before, after, before, after))
        padding = before if before == after else 0
        groups = x.shape[1] // self.weight.shape[1]
        return functional.conv2d(x, self.weight, self.bias, self.stride, padding, groups=groups)


class Linear(nn.Module):
    """A fully connected layer; block-diagonal where its weight sees only a part of the input."""

    def __init__(self, shaped: t.ShapedLayer, layer: t.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shaped.weight))
        self.bias = nn.Parameter(torch.empty(layer.units))

    def forward(self, x: Tensor) -> Tensor:
        groups = x.shape[1] // self.weight.shape[1]
        if groups == 1:
            return functional.linear(x, self.weight, self.bias)
        blocks = torch.bmm(
            x.unflatten(1, (groups, -1)).transpose(0, 1),
            self.weight.unflatten(0, (groups, -1)).transpose(1, 2),
        )
        return blocks.transpose(0, 1).flatten(1) + self.bias


class Norm(nn.Module):
    """Response norm over the channels of one tower."""

    def __init__(self, layer: t.Norm, maps: int) -> None:
        super().__init__()
        self.layer = layer
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        norm = self.layer
        return response_norm(x, self.maps, norm.size, norm.alpha, norm.beta, norm.k)


def _relu(x: Tensor) -> Tensor:
    # On a CPU, torch's bf16 kernel takes twice as long in place.
    if x.dtype == torch.bfloat16 and x.device.type == "cpu":
        return x.relu()
    # In place is safe: no layer that a table puts before an activation keeps its output for backward.
    return x.relu_()


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": _relu, "tanh": torch.tanh}


class Activation(nn.Module):
    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = _ACTIVATIONS[function]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Dropout(nn.Module):
    """Inverted dropout: multiplies by a mask. Without one it draws its own in training mode, from torch's generator.

    Attributes:
        part: this rank's units. The mask is drawn for the units of all towers, so that ranks whose
            generators are in the same state drop the units that one process would.
    """

    def __init__(self, units: int, rate: float) -> None:
        super().__init__()
        self.units = units
        self.rate = rate
        self.part = slice(units)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            if not self.training:
                return x
            mask = functional.dropout(x.new_ones(len(x), self.units), self.rate)[:, self.part]
        return x * mask.to(x.dtype)


class AlexNet(nn.Module):
    """Layers in the table's order, under the table's names: `conv1.weight`, …, `fc8.bias`.

    Parameters are created empty, for weights to be loaded into; `create_net` initialises them. On a device whose kernel
    computes several consecutive layers at once (nets/merging.py), forward calls it in their place, not their hooks.

    Raises:
        TypeError: what is given is no table.
    """

    def __init__(self, table: t.Table) -> None:
        super().__init__()
        if not isinstance(table, t.Table):
            raise TypeError(f"table is {reprlib.repr(table)}: give a Table, such as layer_table('alexnet_small')")
        self.table = table
        self._merged = merged_layers(table)
        for shaped in table.shaped_layers:
            self.add_module(shaped.layer.name, _module(shaped, table.towers))

    def forward(self, images: Tensor, masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, size, size).

        Args:
            images: in the dtype of the parameters.
            masks: by dropout layer's name, (batch, units): 0 where a unit is dropped, else 1 / (1 - rate). With None
                dropout draws its own in training mode, and does nothing in evaluation mode.

        Raises:
            TypeError: the images are no tensor.
            ValueError: they have another shape, or whole numbers.
        """
        _check_images(images, self.table)
        merged = self._merged if norm_pool_runs_on(images.device) else {}
        computed: tuple[str, ...] = ()
        x = images
        for name, layer in self.named_children():
            if name in computed:
                continue
            if name in merged:
                x, computed = merged[name](x), merged[name].names
            elif isinstance(layer, Dropout):
                x = layer(x, None if masks is None else masks[name])
            else:
                x = layer(x)
        return x


def _check_images(images: Tensor, table: t.Table) -> None:
    if not isinstance(images, Tensor):
        raise TypeError(f"images are of type {type(images).__name__}: give a torch.Tensor")
    expected = (table.channels, table.size, table.size)
    if tuple(images.shape[1:]) != expected:
        of = ", ".join(map(str, expected))
        raise ValueError(f"images have the shape {tuple(images.shape)}: {table.name} takes (batch, {of})")
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}: scale them to floating numbers first, such as from 0 to 1")


def _module(shaped: t.ShapedLayer, towers: int) -> nn.Module:
    match shaped.layer:
        case t.Conv() as layer:
            return Conv(shaped, layer)
        case t.Linear() as layer:
            return Linear(shaped, layer)
        case t.Norm() as layer:
            return Norm(layer, maps=shaped.inputs[0] // towers)
        case t.Pool(kernel=kernel, stride=stride):
            return nn.MaxPool2d(kernel, stride)
        case t.Activation(function=function):
            return Activation(function)
        case t.Flatten():
            return nn.Flatten()
        case t.Dropout(rate=rate):
            return Dropout(shaped.outputs[0], rate)
    return nn.Identity()  # an exchange: one device holds all towers


def create_net(table: t.Table, seed: int = 0) -> AlexNet:
    """A net with initial weights, fp32, on the CPU, in training mode.

    Args:
        table: the net's layers.
        seed: of the weights; a run with `run.seed` starts from the same.

    Raises:
        TypeError: what is given is no table.
        ValueError: the seed is not a whole number from 0 to 2**63 - 1.
    """
    net = AlexNet(table)
    if isinstance(seed, bool) or not isinstance(seed, SupportsIndex) or not 0 <= (number := index(seed)) < 2**63:
        raise ValueError(f"seed is {seed!r}: it must be a whole number from 0 to 2**63 - 1")
    initialise(net, Rng(number))  # not NumPy's, which would give other weights
    return net


def check_whole(net: AlexNet) -> None:
    """Raises ValueError where a net has a part of its table's weights."""
    if (held := sum(p.numel() for p in net.parameters())) != net.table.parameters:
        raise ValueError(f"net has {held:,} of {net.table.parameters:,} parameters, as after split: give a whole one")


@torch.no_grad()
def initialise(net: AlexNet, rng: Rng) -> None:
    """Fill the parameters in place. Each tensor is a function of the seed and its name only.

    Drawn in fp32 whatever the net's dtype, so that every precision starts from the same weights.
    """
    for shaped in net.table.shaped_layers:
        if not isinstance(shaped.layer, t.Conv | t.Linear):
            continue
        name, init = shaped.layer.name, shaped.layer.init
        weight, bias = net.get_parameter(f"{name}.weight"), net.get_parameter(f"{name}.bias")
        if init.std is None:
            bound = prod(shaped.weight[1:]) ** -0.5
            weight.copy_(rng.uniform(f"{name}.weight", shaped.weight, bound))
            bias.copy_(rng.uniform(f"{name}.bias", shaped.weight[:1], bound))
        else:
            weight.copy_(rng.normal(f"{name}.weight", shaped.weight, init.std))
            bias.fill_(init.bias)
