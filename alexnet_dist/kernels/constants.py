"""What the kernels are told about the layers that they compute."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Norm:
    """Constants of the response norm; `maps` is the number of channels of one tower, which no window leaves."""

    maps: int
    size: int
    alpha: float
    beta: float
    k: float


@dataclass(frozen=True)
class NormPool:
    """A response norm and the max pool behind it, with the ReLUs that stand next to them.

    Attributes:
        kernel, stride: of the pool, the same in both dims, without padding.
        relu_first: a ReLU in front of the norm.
        relu_last: a ReLU behind the pool.
    """

    norm: Norm
    kernel: int
    stride: int
    relu_first: bool = False
    relu_last: bool = False
