"""A net layer by layer: shapes, parameters, operations, and the bytes that cross between its parts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod

from alexnet_dist.costs.collectives import sent_once
from alexnet_dist.nets.table import Conv, Exchange, Flatten, Linear, Norm, Pool, Shape, ShapedLayer, Table


@dataclass(frozen=True)
class LayerRow:
    """One layer, per image. Shapes are (channels, height, width) or (units,), over all towers.

    Attributes:
        layer: its name.
        kind: its class in `nets.table`, in lower case.
        sees: what one output value is computed from, as a shape: a convolution's kernel with the channels that it
            sees; the empty tuple where that is one value.
        stride: of a convolution or pool; 0 for others.
        outputs: shape of the output.
        parameters: weights and biases.
        multiply_adds: of the forward pass; biases, norms and pools are not counted.
        activations: output values; 0 where the layer only moves values.
        bytes_forward: what each rank sends to the others in the forward pass.
        bytes_backward: the same in the backward pass.
    """

    layer: str
    kind: str
    sees: Shape
    stride: int
    outputs: Shape
    parameters: int
    multiply_adds: int
    activations: int
    bytes_forward: int
    bytes_backward: int


@dataclass(frozen=True)
class Totals:
    """Sums over the rows; see `LayerRow`."""

    parameters: int
    multiply_adds: int
    activations: int
    bytes_forward: int
    bytes_backward: int


def layer_rows(table: Table, ranks: int, itemsize: int) -> list[LayerRow]:
    """A row for every layer; for exchanges only where there are several towers or ranks.

    Args:
        ranks: over which the net is cut.
        itemsize: bytes of a value that crosses.
    """
    whole = max(table.towers, ranks) == 1
    return [
        _row(shaped, ranks, itemsize)
        for shaped in table.shaped_layers
        if not (whole and isinstance(shaped.layer, Exchange))
    ]


def totals(rows: Sequence[LayerRow]) -> Totals:
    """Of the whole net."""
    return Totals(*(sum(getattr(row, field.name) for row in rows) for field in fields(Totals)))


def _row(shaped: ShapedLayer, ranks: int, itemsize: int) -> LayerRow:
    layer = shaped.layer
    crossing = sent_once(prod(shaped.inputs) * itemsize, ranks) if isinstance(layer, Exchange) else 0
    return LayerRow(
        layer=layer.name,
        kind=type(layer).__name__.lower(),
        sees=_seen_by_one_output(shaped),
        stride=layer.stride if isinstance(layer, Conv | Pool) else 0,
        outputs=shaped.outputs,
        parameters=prod(shaped.weight) + shaped.weight[0] if shaped.weight else 0,
        multiply_adds=shaped.multiply_adds,
        activations=0 if isinstance(layer, Exchange | Flatten) else prod(shaped.outputs),
        bytes_forward=crossing,
        # The loss is computed in full by every rank: nothing is sent back.
        bytes_backward=0 if isinstance(layer, Exchange) and layer.logits else crossing,
    )


def _seen_by_one_output(shaped: ShapedLayer) -> Shape:
    match shaped.layer:
        case Conv() | Linear():
            return shaped.weight[1:]
        case Pool(kernel=kernel):
            return (1, kernel, kernel)
        case Norm(size=size):
            return (size, 1, 1)
    return ()
