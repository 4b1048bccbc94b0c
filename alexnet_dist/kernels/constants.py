"""The constants of the layers that the kernels compute."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NormConstants:
    """Constants of the response norm; `maps` is the number of channels of one tower, which bounds every window."""

    maps: int
    size: int
    alpha: float
    beta: float
    k: float


@dataclass(frozen=True)
class NormPool:
    """A response norm and the max pool after it, with the ReLUs next to them.

    Attributes:
        kernel, stride: of the pool, the same in both dims, without padding.
        relu_first: a ReLU before the norm.
        relu_last: a ReLU after the pool.
    """

    norm: NormConstants
    kernel: int
    stride: int
    relu_first: bool = False
    relu_last: bool = False
