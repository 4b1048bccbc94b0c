"""The plots of a comparison, one function each. The letters are large: on a phone a plot is 370 pixels wide."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import matplotlib

matplotlib.use("agg")  # needs no display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexnet_dist.compare.breakdown import COMMUNICATION, COMPUTE, COMPUTE_AND_COMMUNICATION, DATA, OPTIMIZER
from alexnet_dist.compare.rows import Figures, Row

SIZE = (6.0, 4.2)
STYLE: dict[Any, Any] = {
    "font.size": 12, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3,
    "svg.fonttype": "none", "svg.hashsalt": "alexnet-dist", "legend.frameon": False, "font.family": "sans-serif",
}  # fmt: skip
# Distinguishable for the colour-blind.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
PART_COLOURS = {
    COMPUTE: "#0072b2",
    COMPUTE_AND_COMMUNICATION: "#0072b2",
    COMMUNICATION: "#d55e00",
    DATA: "#e69f00",
    OPTIMIZER: "#009e73",
}


def draw_all(rows: Sequence[Row]) -> dict[str, tuple[str, Figure]]:
    """Every plot with its title, by file name."""
    drawn = {}
    with plt.rc_context(STYLE):
        for name, (title, draw) in PLOTS.items():
            figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
            draw(axes, rows)
            axes.set_title(title, fontsize=13, loc="left")
            drawn[name] = (title, figure)
    plt.close("all")
    return drawn


def _lines(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[tuple[Row, Figures]]]]:
    """For each variant on each number of ranks: a name, a colour, and the measured rows by batch."""
    several = len({row.case.ranks for row in rows if row.case.ranks > 1}) > 1
    names = [row.case.variant + (f" x{row.case.ranks}" if several else "") for row in rows]
    for number, name in enumerate(dict.fromkeys(names)):
        own = [
            (row, row.figures) for row, of in zip(rows, names, strict=True) if of == name and row.figures is not None
        ]
        if own:
            yield name, COLOURS[number % len(COLOURS)], sorted(own, key=lambda pair: pair[0].case.global_batch)


def _throughput(axes: Axes, rows: Sequence[Row]) -> None:
    for number, (name, colour, own) in enumerate(_lines(rows)):
        rates = [figures.images_per_second for _, figures in own]
        batches = [
            row.case.global_batch * 1.02**number for row, _ in own
        ]  # side by side instead of on top of each other
        below, above = [r.value - r.low for r in rates], [r.high - r.value for r in rates]
        values = [r.value for r in rates]
        axes.errorbar(batches, values, yerr=[below, above], label=name, color=colour, marker="o", capsize=4)
    _batch_axis(axes, rows)
    axes.set_ylabel("images/s")
    axes.set_ylim(bottom=0)
    _legend(axes)


def _batch_axis(axes: Axes, rows: Sequence[Row]) -> None:
    batches = sorted({row.case.global_batch for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [f"{batch}" for batch in batches])
    axes.set_xlim(batches[0] / 1.4, batches[-1] * 1.4)
    axes.set_xlabel("global batch")


def _breakdown(axes: Axes, rows: Sequence[Row]) -> None:
    measured = [(row, row.figures) for row in rows if row.figures is not None]
    names = [f"{row.case.variant}, {row.case.global_batch}" for row, _ in measured]
    places = list(range(len(measured)))[::-1]
    left = [0.0] * len(measured)
    for part in dict.fromkeys(name for _, figures in measured for name in figures.parts):
        widths = [figures.parts.get(part, 0.0) / row.case.global_batch * 1e3 for row, figures in measured]
        axes.barh(places, widths, left=left, color=PART_COLOURS[part], label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(places, names)
    axes.set_xlabel("ms per image")
    axes.grid(axis="y", visible=False)
    _legend(axes)


def _traffic(axes: Axes, rows: Sequence[Row]) -> None:
    lines = [(name, colour, own) for name, colour, own in _lines(rows) if own[0][1].expected_bytes]
    batches = [row.case.global_batch for _, _, own in lines for row, _ in own]
    crossings = [c for a, b in combinations(lines, 2) if (c := crossing(a[2][0], b[2][0])) is not None]
    last = max([*batches, *(batch for batch, _ in crossings)], default=1) * 1.3
    for name, colour, own in lines:
        row, figures = own[-1]
        slope = (figures.expected_bytes - figures.constant_bytes) / row.case.global_batch
        axes.plot(
            [0, last],
            [figures.constant_bytes / 1e6, (figures.constant_bytes + slope * last) / 1e6],
            color=colour,
            label=name,
        )
        axes.plot([r.case.global_batch for r, _ in own], [f.sent_bytes / 1e6 for _, f in own], "o", color=colour)
    for batch, sent in crossings:
        axes.plot(batch, sent / 1e6, "x", color="black", markersize=9)
        axes.annotate(f"{batch:,.0f}", (batch, sent / 1e6), textcoords="offset points", xytext=(0, 9), ha="center")
    axes.set_xlim(0, last)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("global batch (lines: layer table; dots: counted; x: equal)")
    axes.set_ylabel("MB sent per rank and step")
    _legend(axes)


def crossing(one: tuple[Row, Figures], other: tuple[Row, Figures]) -> tuple[float, float] | None:
    """The global batch at which two cases send the same number of bytes, and that number; None where they never do.

    The bytes have a constant part and a part that grows with the batch, both from the layer table.
    """
    slopes = [
        (figures.expected_bytes - figures.constant_bytes) / row.case.global_batch for row, figures in (one, other)
    ]
    if slopes[0] == slopes[1]:
        return None
    batch = (other[1].constant_bytes - one[1].constant_bytes) / (slopes[0] - slopes[1])
    return (batch, one[1].constant_bytes + slopes[0] * batch) if batch > 0 else None


def _losses(axes: Axes, rows: Sequence[Row]) -> None:
    """Different batches train differently: each has its own line style."""
    batches = sorted({row.case.global_batch for row in rows})
    styles = ("-", "--", ":", "-.")
    for name, colour, own in _lines(rows):
        for row, figures in own:
            losses = [float("nan") if loss is None else loss for loss in figures.losses]
            style = styles[batches.index(row.case.global_batch) % len(styles)]
            label = f"{name}, {row.case.global_batch}"
            axes.plot(range(1, len(losses) + 1), losses, style, color=colour, label=label, alpha=0.8)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Below the plot, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:  # nothing is drawn where no case ran
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=10.5)


PLOTS: dict[str, tuple[str, Callable[[Axes, Sequence[Row]], None]]] = {
    "throughput": ("Throughput by global batch, with 95 % intervals", _throughput),
    "breakdown": ("Where the time of an image goes", _breakdown),
    "traffic": ("Bytes by global batch", _traffic),
    "losses": ("Training loss, all from the same weights", _losses),
}
