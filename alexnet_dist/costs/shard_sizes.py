"""How many values a rank holds where parameters are cut over ranks, padding included."""

from dataclasses import dataclass
from math import prod

from alexnet_dist.nets.table import Table


def padded(values: int, multiple: int) -> int:
    """`values` rounded up to a multiple."""
    return -(-values // multiple) * multiple


@dataclass(frozen=True)
class RowShards:
    """Values on the fullest rank where layers are cut along dim 0, as FSDP does.

    Attributes:
        part: of the layers that are cut, padding included.
        whole: of the layers that are not.
    """

    part: int
    whole: int


def has_a_row_for_each(rows: int, ranks: int) -> bool:
    """Whether a layer is cut. With fewer rows than ranks it would be padded to a multiple of its size on the wire."""
    return rows >= ranks


def row_shards(table: Table, ranks: int) -> RowShards:
    """What a rank holds of a net in `ranks` parts."""
    part = whole = 0
    for shaped in table.shaped_layers:
        if shaped.weight:
            rows, row = shaped.weight[0], prod(shaped.weight[1:]) + 1  # a row of the weight, and its bias
            if has_a_row_for_each(rows, ranks):
                part += -(-rows // ranks) * row
            else:
                whole += rows * row
    return RowShards(part, whole)


def parameter_groups(table: Table) -> tuple[list[int], list[int]]:
    """How many values each parameter has, in the optimizer's two groups: weights, biases."""
    shapes = [shaped.weight for shaped in table.shaped_layers if shaped.weight]
    return [prod(shape) for shape in shapes], [shape[0] for shape in shapes]


def values_flat(table: Table, ranks: int) -> int:
    """Values of the whole net where each parameter group is one flat, padded buffer: DeepSpeed's stages 1 and 2."""
    return sum(padded(sum(group), 2 * ranks) for group in parameter_groups(table))


def values_by_parameter(table: Table, ranks: int) -> int:
    """Values of the whole net where each parameter is padded on its own: DeepSpeed's stage 3."""
    return sum(padded(values, ranks) for group in parameter_groups(table) for values in group)


def values_touched(table: Table, ranks: int) -> int:
    """Gradient values that DeepSpeed's stages 1 and 2 keep on the fullest rank: all of each parameter that the rank's
    part of the flat buffer touches."""
    kept = [0] * ranks
    for group in parameter_groups(table):
        part, start = padded(sum(group), 2 * ranks) // ranks, 0
        for values in group:
            for rank in range(start // part, (start + values - 1) // part + 1):
                kept[rank] += values
            start += values
    return max(kept)
