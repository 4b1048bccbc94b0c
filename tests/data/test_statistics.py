"""Mean image and covariance against numpy's, on real images."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alexnet_dist.data.dataset import InMemory, Samples
from alexnet_dist.data.sets.fashion_mnist import read_fashion_mnist
from alexnet_dist.data.statistics import measure


def coloured(fashion_mnist: Path, count: int) -> InMemory:
    """Images of three channels, each made of three consecutive real ones."""
    pixels, labels = read_fashion_mnist(str(fashion_mnist))["t10k"]
    return InMemory(pixels[: 3 * count].reshape(count, 3, 28, 28), labels[:count])


def test_against_numpy(fashion_mnist: Path) -> None:
    samples = coloured(fashion_mnist, 500)
    found, pixels = samples.statistics(), samples.pixels.numpy()
    np.testing.assert_allclose(found.mean_image.numpy(), pixels.mean(0), rtol=1e-6)
    colours = pixels.transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(found.covariance.numpy(), np.cov(colours, ddof=0), rtol=1e-10)
    assert found.covariance[0, 1] > 100  # otherwise the comparison above would say little


def test_of_many_samples_some_are_read(fashion_mnist: Path) -> None:
    samples = coloured(fashion_mnist, 300)
    read = []

    class Counted(Samples):
        def __len__(self) -> int:
            return len(samples)

        def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
            read.extend(ids.tolist())
            return samples.batch(ids)

    found = measure(Counted(), at_most=100)
    assert read == list(range(0, 300, 3))
    assert torch.equal(found.mean_image, samples.pixels[::3].double().mean(0).float())
    assert torch.equal(Counted().statistics().mean_image, samples.statistics().mean_image)
