"""Positions of the blocks in a net's drawing: a column for each layer with weights, a row for each part of the net.

A block is a layer's output. Its height and depth follow the pixels, by their square root; its width follows the maps of
one part. A fully connected layer is a bar whose height follows the square root of its units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

from alexnet_dist.nets.svg import TIMES, Point
from alexnet_dist.nets.table import Conv, Dropout, Exchange, Linear, Norm, Pool, Shape, ShapedLayer, Table

TOP, LEFT, RIGHT, GAP, PITCH = 186.0, 112.0, 24.0, 60.0, 118.0
ROW, BETWEEN = 164.0, 18.0  # height of a row, and the space between two
SIDE, MAPS_WIDTH, UNITS_HEIGHT, BAR_WIDTH = 74.0, 56.0, 110.0, 14.0  # of the largest outputs
OBLIQUE = (0.42, -0.34)  # of the depth, to the right and up
SMALLEST_WINDOW = 0.16  # of a block's side, so that it can be seen
IMAGE, CLASSES = "image", "softmax"  # drawn once for all parts


@dataclass(frozen=True)
class Block:
    """A box in oblique projection: lower left corner of its front, and its extents in pixels."""

    x: float
    y: float
    width: float
    height: float
    depth: float

    @property
    def oblique(self) -> Point:
        return OBLIQUE[0] * self.depth, OBLIQUE[1] * self.depth

    @property
    def right(self) -> float:
        return self.x + self.width + self.oblique[0]

    @property
    def entry(self) -> list[Point]:
        """Upper and lower end of the front's left edge."""
        return [(self.x, self.y - self.height), (self.x, self.y)]

    @property
    def exit(self) -> list[Point]:
        """Upper and lower end of the rearmost right edge."""
        dy = self.oblique[1]
        return [(self.right, self.y - self.height + dy), (self.right, self.y + dy)]

    def window(self, share: float) -> list[Point]:
        """Corners of a window in the middle of the right side, of that share of its height and depth."""
        (dx, dy), size = self.oblique, max(share, SMALLEST_WINDOW)
        near, far = (1 - size) / 2, (1 + size) / 2
        lower, upper = self.y - near * self.height, self.y - far * self.height
        ends = [(self.x + self.width + part * dx, part * dy) for part in (near, far)]
        return [(x, y + shift) for y in (upper, lower) for x, shift in (ends if y == upper else ends[::-1])]


@dataclass(frozen=True)
class Column:
    """The output of one layer with weights; the image and the classes are columns, too.

    Attributes:
        shape: over all parts.
        crosses: name of the exchange before it; None where each part sees its own maps only.
        window: the kernel's share of the width of its input; 0 for a fully connected layer.
        notes: lines under the name.
        blocks: one for each part, or one for all.
    """

    name: str
    shape: Shape
    crosses: str | None = None
    window: float = 0.0
    notes: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()

    @property
    def shape_of_a_part(self) -> str:
        """Height, width and maps of a part, as 55x55x48."""
        channels, *pixels = self.shape
        return TIMES.join(str(n) for n in (*pixels, channels // len(self.blocks)))

    @property
    def middle(self) -> float:
        """Horizontally, of its blocks."""
        return (self.blocks[0].x + self.blocks[0].right) / 2


@dataclass(frozen=True)
class FigureLayout:
    """The drawing's columns and rows.

    Attributes:
        rows: the middle of each part's row.
        bottom: lower end of the drawing's blocks.
    """

    columns: Sequence[Column]
    rows: Sequence[float]
    width: float
    bottom: float


def lay_out(table: Table, parts: int) -> FigureLayout:
    """The layout of a net that is cut into `parts` parts."""
    columns = list(_columns(table))
    blocks = [_block(column.shape, columns) for column in columns]
    image_height = blocks[0].height - blocks[0].oblique[1] + 2 * BETWEEN
    height = max(parts * (ROW + BETWEEN) - BETWEEN, image_height)
    rows = [TOP + height / 2 + (part - (parts - 1) / 2) * (ROW + BETWEEN) for part in range(parts)]
    x, placed = LEFT, []
    for column, block in zip(columns, blocks, strict=True):
        indent = max(0.0, (PITCH - GAP - block.right) / 2)
        middles = [TOP + height / 2] if column.name in (IMAGE, CLASSES) else rows
        drop = (block.height - block.oblique[1]) / 2  # from the middle to the lower edge, less the depth's share
        stood = tuple(replace(block, x=x + indent, y=middle + drop) for middle in middles)
        placed.append(replace(column, blocks=stood))
        x = stood[0].right + indent + GAP
    return FigureLayout(placed, rows, x - GAP + RIGHT, TOP + height)


def _block(shape: Shape, columns: Sequence[Column]) -> Block:
    """Of a column, at the origin. Widths and heights follow the largest output of the net."""
    outputs = [column.shape for column in columns[1:]]
    if len(shape) == 1:
        height = UNITS_HEIGHT * sqrt(shape[0] / max(other[0] for other in outputs if len(other) == 1))
        return Block(0, 0, BAR_WIDTH, height, BAR_WIDTH)
    maps, pixels = (max(other[dim] for other in outputs if len(other) == 3) for dim in (0, 1))
    side = SIDE * sqrt(shape[1] / pixels)
    return Block(0, 0, max(3.0, MAPS_WIDTH * shape[0] / maps), side, side)


def _columns(table: Table) -> Iterator[Column]:
    """The image, each layer with weights with notes on the layers after it, and the classes."""
    notes: dict[str, list[str]] = {}
    found = [Column(IMAGE, (table.channels, table.size, table.size))]
    crosses = None
    for shaped in table.shaped_layers:
        match shaped.layer:
            case Exchange(name=name):
                crosses = name
            case Conv() | Linear():
                found.append(_column(shaped, crosses))
                crosses = None
            case Norm() | Pool() | Dropout() as layer:
                notes.setdefault(found[-1].name, []).append(_note(layer))
    for column in found:
        yield replace(column, notes=(*column.notes, *notes.get(column.name, [])))
    yield Column(CLASSES, (table.classes,), crosses)


def _column(shaped: ShapedLayer, crosses: str | None) -> Column:
    layer = shaped.layer
    if isinstance(layer, Conv):
        kernel = f"{layer.kernel}{TIMES}{layer.kernel}" + (f", stride {layer.stride}" if layer.stride > 1 else "")
        return Column(layer.name, shaped.outputs, crosses, layer.kernel / shaped.inputs[1], (kernel,))
    return Column(layer.name, shaped.outputs, crosses, notes=(f"sees {shaped.weight[1]:,}",))


def _note(layer: Norm | Pool | Dropout) -> str:
    match layer:
        case Norm():
            return "norm"
        case Pool(kernel=kernel, stride=stride):
            return f"max pool {kernel}{TIMES}{kernel}, /{stride}"
    return f"dropout {layer.rate:g}"
