"""Floating-point operations of a net, from its layer table."""

from alexnet_dist.nets.table import Table


def training_operations(table: Table) -> int:
    """Operations of one trained image: forward, gradients of weights and of inputs; two for each multiply-add.

    The first layer needs no gradient of its input. Biases, norms, pools and the update are not counted.
    """
    first = next(shaped.multiply_adds for shaped in table.shaped_layers if shaped.weight)
    return 2 * (3 * table.multiply_adds - first)
