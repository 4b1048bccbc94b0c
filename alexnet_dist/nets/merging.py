"""Which consecutive layers of a net one kernel computes, on devices that have it."""

from dataclasses import dataclass

from torch import Tensor

from alexnet_dist.kernels.constants import NormConstants, NormPool
from alexnet_dist.kernels.norm_pool import LARGEST_KERNEL, norm_pool
from alexnet_dist.nets import table as t


@dataclass(frozen=True)
class MergedLayers:
    """[ReLU,] response norm, max pool[, ReLU].

    Attributes:
        names: of the layers, in their order.
        layers: what they are.
    """

    names: tuple[str, ...]
    layers: NormPool

    def __call__(self, x: Tensor) -> Tensor:
        return norm_pool(x, self.layers)


def merged_layers(table: t.Table) -> dict[str, MergedLayers]:
    """The merged layers of a net, by the name of their first."""
    found = {}
    padded = (None, *table.layers, None, None)
    for i, shaped in enumerate(table.shaped_layers):
        before, norm, pool, after = padded[i : i + 4]
        if isinstance(norm, t.Norm) and isinstance(pool, t.Pool) and pool.kernel <= LARGEST_KERNEL:
            constants = NormConstants(shaped.inputs[0] // table.towers, norm.size, norm.alpha, norm.beta, norm.k)
            layers = NormPool(constants, pool.kernel, pool.stride, _is_relu(before), _is_relu(after))
            merged = (before if layers.relu_first else None, norm, pool, after if layers.relu_last else None)
            names = tuple(layer.name for layer in merged if layer is not None)
            found[names[0]] = MergedLayers(names, layers)
    return found


def _is_relu(layer: t.Layer | None) -> bool:
    return isinstance(layer, t.Activation) and layer.function == "relu"
