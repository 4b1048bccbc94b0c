"""A layer table as a drawing after Figure 2 of NIPS 2012: a row of blocks for each tower, and where towers meet.

The small window on a block is the next layer's kernel. The cone from it, or from a whole block before a fully connected
layer, shows what one tower reads: grey from its own maps, orange from another tower's.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from alexnet_dist.nets.figure_layout import ROW, TOP, Block, Column, FigureLayout, lay_out
from alexnet_dist.nets.svg import Point, Svg
from alexnet_dist.nets.table import Table

TOWERS = ("#4c78a8", "#59a14f", "#8e6bb0", "#2a9d8f")
WHOLE, OWN, CROSSING, INK, MUTED = "#7b8794", "#5f6670", "#e8590c", "#222222", "#666666"
LINE = 19.0  # height of a line of text


def draw(
    table: Table, ranks: int, titles: Sequence[str], crossing: Mapping[str, Sequence[str]],
    figures: Mapping[str, Mapping[str, str]],
) -> str:  # fmt: skip
    """The drawing as the text of an SVG file.

    Args:
        ranks: how many the net is cut over; a net of one tower is drawn in that many parts.
        titles: the headline, and lines under it.
        crossing: by exchange's name, lines about what crosses there.
        figures: by heading, a text for each layer with weights by its name: a table under the drawing.
    """
    layout, svg = lay_out(table, max(table.towers, ranks)), Svg()
    _draw_rows(svg, layout, table.towers, ranks)
    for column in layout.columns:
        _draw_blocks(svg, column)
    for source, target in pairwise(layout.columns):
        _connect(svg, source, target)
    for column in layout.columns:
        _write_column(svg, column)
    for source, target in pairwise(layout.columns):
        if target.crosses and len(layout.rows) > 1:
            _mark_crossing(svg, (source.blocks[0].right + target.blocks[0].x) / 2, layout, crossing[target.crosses])
    _write_titles(svg, titles)
    top = layout.bottom + (84 if len(layout.rows) > 1 else 36)
    _write_figures(svg, layout, top, figures)
    return svg.render(layout.width, top + LINE * len(figures) + 8)


def _draw_rows(svg: Svg, layout: FigureLayout, towers: int, ranks: int) -> None:
    """A tinted band for each part, with its name."""
    parts, start = len(layout.rows), layout.columns[1].blocks[0].x - 34
    if parts == 1:
        return
    end = layout.columns[-2].blocks[0].right + 14
    for part, middle in enumerate(layout.rows):
        y, colour = middle - ROW / 2, TOWERS[part % len(TOWERS)]
        svg.polygon([(start, y), (end, y), (end, y + ROW), (start, y + ROW)], colour, opacity=0.09)
        name = f"tower {part + 1}" if towers > 1 else f"part {part + 1}"
        place = f", rank {part * ranks // parts}" if ranks > 1 else ""
        svg.text((start + 8, y + 17), name + place, 13, colour, "start", "bold")


def _connect(svg: Svg, source: Column, target: Column) -> None:
    """What each block of the target is computed from."""
    everything = target.crosses is not None or len(source.blocks) != len(target.blocks)
    for crosses in (True, False):  # own maps above the others'
        for i, giver in enumerate(source.blocks):
            for j, taker in enumerate(target.blocks):
                other = len(source.blocks) > 1 and (i != j or len(target.blocks) == 1)
                if other is crosses and (everything or i == j):
                    _fan(svg, giver, taker, target.window, CROSSING if other else OWN)


def _fan(svg: Svg, giver: Block, taker: Block, window: float, colour: str) -> None:
    """From a kernel's window to one point, or from a whole block to a whole bar."""
    if not window:
        (upper, lower), (top, bottom) = giver.exit, taker.entry
        svg.polygon([upper, top, bottom, lower], colour, colour, 0.16)
        svg.line(upper, top, colour, 0.8)
        svg.line(lower, bottom, colour, 0.8)
        return
    corners = giver.window(window)
    point = (taker.x, taker.y - taker.height / 2)
    svg.polygon(corners, "white", colour, 0.55)
    svg.polygon([corners[0], corners[1], point, corners[2], corners[3]], colour, opacity=0.16)
    for corner in corners:
        svg.line(corner, point, colour, 0.8)


def _draw_blocks(svg: Svg, column: Column) -> None:
    for number, block in enumerate(column.blocks):
        _draw_block(svg, block, TOWERS[number % len(TOWERS)] if len(column.blocks) > 1 else WHOLE)


def _write_column(svg: Svg, column: Column) -> None:
    for block in column.blocks:
        svg.text((block.x + block.width / 2, block.y + 16), column.shape_of_a_part, 12, INK)
    svg.text((column.middle, TOP - 66), column.name, 15, INK, weight="bold")
    for line, note in enumerate(column.notes):
        svg.text((column.middle, TOP - 49 + 15 * line), note, 11.5, MUTED)


def _draw_block(svg: Svg, block: Block, colour: str) -> None:
    (dx, dy), left, right = block.oblique, block.x, block.x + block.width
    top, bottom = block.y - block.height, block.y
    faces: list[tuple[list[Point], str]] = [
        ([(left, top), (left + dx, top + dy), (right + dx, top + dy), (right, top)], "#ffffff"),
        ([(right, top), (right + dx, top + dy), (right + dx, bottom + dy), (right, bottom)], "#000000"),
    ]
    svg.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, "white", 0.85)
    for corners, shade in faces:
        svg.polygon(corners, colour, "white", 0.85)
        svg.polygon(corners, shade, opacity=0.25)


def _mark_crossing(svg: Svg, x: float, layout: FigureLayout, lines: Sequence[str]) -> None:
    """A dashed line through all rows and what crosses it."""
    svg.line((x, TOP - 8), (x, layout.bottom + 14), CROSSING, 1.4, "5 4")
    for number, line in enumerate(lines):
        size, weight = (13, "bold") if number == 0 else (11.5, "normal")
        svg.text((x, layout.bottom + 30 + 15 * number), line, size, CROSSING, weight=weight)


def _write_titles(svg: Svg, titles: Sequence[str]) -> None:
    headline, *rest = titles
    svg.text((24, 32), headline, 19, INK, "start", "bold")
    for number, line in enumerate(rest):
        svg.text((24, 54 + 17 * number), line, 13, MUTED, "start")


def _write_figures(svg: Svg, layout: FigureLayout, top: float, figures: Mapping[str, Mapping[str, str]]) -> None:
    svg.line((24, top - 22), (layout.width - 24, top - 22), "#cccccc")
    for number, (heading, by_layer) in enumerate(figures.items()):
        y = top + LINE * number
        svg.text((24, y), heading, 12, MUTED, "start")
        for column in layout.columns[1:]:
            svg.text((column.middle, y), by_layer.get(column.name, ""), 12, INK)
