"""Local response normalisation across channels (NIPS 2012, section 3.3), within each tower.

y = x / (k + alpha/size * sum of x^2 over `size` neighbouring channels) ^ beta. Like CHM and
`torch.nn.LocalResponseNorm`, and unlike the paper's formula, alpha is divided by the window's size.
"""

import torch
from torch import Tensor
from torch.nn import functional


def response_norm(x: Tensor, maps: int, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Normalise each channel by its neighbours in the same tower.

    Args:
        x: (batch, channels, height, width), any floating dtype; channels is a multiple of `maps`.
        maps: channels of one tower; a window never reaches into the next tower's.
        size: channels in a window, odd.
        alpha, beta, k: the constants of the formula.

    Returns:
        A tensor of x's shape, dtype and memory format. Half precisions are computed in fp32.
    """
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    towers = wide.unflatten(1, (-1, maps))
    squares = functional.pad(towers * towers, (0, 0, 0, 0, size // 2, size // 2))
    window = sum(squares.narrow(2, offset, maps) for offset in range(size))
    scale = (k + alpha / size * window) ** -beta
    return (towers * scale).flatten(1, 2).to(x.dtype)
