"""Every random number of a run.

Each is a pure function of the seed and of its purpose, never of the rank, of the number of ranks or of what was drawn
before. So every strategy starts from the same weights and drops the same units, and a resumed run draws what an
uninterrupted one would have drawn.

Initial weights and sample orders come from torch's generator on the CPU. What a step or a sample needs is a hash of its
position, in integer arithmetic only: a rank draws its own rows and units and no others, with the same bits on every
device.
"""

from hashlib import blake2b
from math import ceil, pi

import torch
from torch import Tensor

from alexnet_dist.kernels.availability import triton_runs_on

GENERATOR = 2  # in checkpoints; goes up when the same seed gives other numbers

# splitmix64: G. L. Steele, D. Lea and C. H. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
_GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_DRAWS_PER_WORD = 4  # 16-bit draws in a 64-bit word


class Rng:
    """The random numbers of a run.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def _key(self, *purpose: object) -> int:
        return int.from_bytes(blake2b(repr((self.seed, *purpose)).encode(), digest_size=8).digest(), "big")

    def _generator(self, *purpose: object) -> torch.Generator:
        return torch.Generator().manual_seed(self._key(*purpose) >> 1)

    def normal(self, name: str, shape: tuple[int, ...], std: float) -> Tensor:
        """Initial weights from N(0, std), fp32, on the CPU."""
        return torch.empty(shape).normal_(0.0, std, generator=self._generator("weights", name))

    def uniform(self, name: str, shape: tuple[int, ...], bound: float) -> Tensor:
        """Initial weights from U(-bound, bound), fp32, on the CPU."""
        return torch.empty(shape).uniform_(-bound, bound, generator=self._generator("weights", name))

    def permutation(self, epoch: int, count: int) -> Tensor:
        """The order of an epoch's samples: int64, each of 0 … count - 1 once."""
        return torch.randperm(count, generator=self._generator("order", epoch))

    def _time_key(self, purpose: str, time: int) -> int:
        return _signed(_mixed((time * _GAMMA + self._key(purpose)) % 2**64))

    def words(self, purpose: str, time: int | Tensor, rows: Tensor, columns: range) -> Tensor:
        """Random 64-bit words by position.

        Args:
            purpose: what they are for; each purpose has numbers of its own.
            time: step or epoch; as an int64 scalar on the device it may change under a captured graph.
            rows: int64 (rows,), on the device wanted.
            columns: which words of each row.

        Returns:
            int64 (rows, columns), every bit random.
        """
        if isinstance(time, Tensor):
            time_key: int | Tensor = _mix_(time * _signed(_GAMMA) + _signed(self._key(purpose)))
        else:  # without a tensor: many small operations take turns at Python's lock, and a copy waits for a device
            time_key = self._time_key(purpose, time)
        row_keys = _mix_((rows + 1) * _signed(_GAMMA) + time_key)
        counters = torch.arange(columns.start + 1, columns.stop + 1, device=rows.device) * _signed(_GAMMA)
        words = torch.empty(len(rows), len(columns), dtype=torch.int64, device=rows.device)
        return _mix_(torch.add(row_keys[:, None], counters, out=words))

    def fractions(self, purpose: str, epoch: int, samples: Tensor, count: int) -> Tensor:
        """Uniform draws from [0, 1) for each sample of an epoch: fp64 (samples, count), multiples of 2^-53.

        Args:
            samples: int64 (samples,), sample numbers, on the device wanted.
        """
        words = self.words(purpose, epoch, samples, range(count))
        return (words >> 11 & (1 << 53) - 1).double() * 2.0**-53

    def normals(self, purpose: str, epoch: int, samples: Tensor, count: int) -> Tensor:
        """Draws from N(0, 1) for each sample of an epoch: fp64 (samples, count), by Box and Muller 1958."""
        radii, angles = self.fractions(purpose, epoch, samples, 2 * count).view(len(samples), count, 2).unbind(2)
        return (-2 * torch.log1p(-radii)).sqrt() * (2 * pi * angles).cos()

    def random_bytes(self, purpose: str, samples: Tensor, count: int) -> Tensor:
        """Uniform bytes for each sample: uint8 (samples, count)."""
        return self.words(purpose, 0, samples, range(ceil(count / 8))).view(torch.uint8)[:, :count]

    def dropout_mask(
        self, layer: str, step: int | Tensor, rate: float, rows: slice, columns: slice, device: torch.device
    ) -> Tensor:
        """Rows and columns of the mask of one layer for one step.

        Args:
            layer: the dropout layer's name.
            step: the optimizer step.
            rate: probability that a unit is dropped; rounded to a multiple of 2^-16, below 1.
            rows: samples, as positions in the global batch.
            columns: units, counted over all towers.
            device: where to draw.

        Returns:
            fp32 (rows, columns): 0 where dropped, else 1 / (1 - rate).
        """
        purpose = f"dropout {layer}"
        dropped = min(round(rate * 2**16), 2**16 - 1)  # of 2^16 equally likely draws
        scale = 2**16 / (2**16 - dropped)
        if isinstance(step, int) and triton_runs_on(device):
            from alexnet_dist.kernels.triton_masks import fill_mask

            mask = torch.empty(rows.stop - rows.start, columns.stop - columns.start, device=device)
            first = rows.start, columns.start
            fill_mask(mask, self._time_key(purpose, step), first, dropped, scale, _GAMMA, _MULTIPLIERS)
            return mask
        first_word, last_word = columns.start // _DRAWS_PER_WORD, ceil(columns.stop / _DRAWS_PER_WORD)
        positions = torch.arange(rows.start, rows.stop, device=device)
        draws = self.words(purpose, step, positions, range(first_word, last_word)).view(torch.int16)
        offset = first_word * _DRAWS_PER_WORD
        draws = draws[:, columns.start - offset : columns.stop - offset]
        return (draws >= dropped - 2**15).float().mul_(scale)


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned word."""
    return word - (1 << 64) if word >> 63 else word


def _mixed(word: int) -> int:
    """An unsigned word as `_mix_` changes words."""
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        word = (word ^ word >> shift) * multiplier % 2**64
    return word ^ word >> 31


def _mix_(words: Tensor) -> Tensor:
    """splitmix64's finaliser, a bijection, in place; int64 products wrap."""
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        words ^= words >> shift & (1 << 64 - shift) - 1
        words *= _signed(multiplier)
    words ^= words >> 31 & (1 << 33) - 1
    return words
