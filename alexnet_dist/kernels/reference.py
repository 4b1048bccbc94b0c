"""The layers that have kernels of our own, written as their formulas, in fp64: the reference for every kernel.

Autograd differentiates them.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from alexnet_dist.kernels.constants import NormConstants, NormPool


def response_norm(x: Tensor, norm: NormConstants) -> Tensor:
    """The response norm, channel by channel.

    Args:
        x: (batch, channels, height, width), fp64.
    """
    channels = []
    for channel in range(x.shape[1]):
        first = channel // norm.maps * norm.maps
        low, high = max(first, channel - norm.size // 2), min(first + norm.maps, channel + norm.size // 2 + 1)
        squares = x[:, low:high].square().sum(1)
        channels.append(x[:, channel] / (norm.k + norm.alpha / norm.size * squares) ** norm.beta)
    return torch.stack(channels, 1)


def norm_pool(x: Tensor, layers: NormPool, stored: Callable[[Tensor], Tensor]) -> Tensor:
    """[ReLU,] response norm, max pool[, ReLU], one after the other.

    Args:
        x: (batch, channels, height, width), fp64.
        stored: rounds the norm's values (fp64) to those that a half precision stores, which decides which value of a
            pool's window is the largest. Its gradient is 1.
    """
    x = functional.relu(x) if layers.relu_first else x
    normed = response_norm(x, layers.norm)
    pooled = functional.max_pool2d(normed + (stored(normed) - normed).detach(), layers.kernel, layers.stride)
    return functional.relu(pooled) if layers.relu_last else pooled
