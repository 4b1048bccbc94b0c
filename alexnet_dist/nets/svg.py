"""An SVG image from a few kinds of shapes. Coordinates are pixels, y grows downwards."""

from collections.abc import Sequence
from xml.etree import ElementTree

Point = tuple[float, float]
TIMES = "\N{MULTIPLICATION SIGN}"


class Svg:
    """Shapes are drawn in the order in which they are added; later ones cover earlier ones."""

    def __init__(self) -> None:
        self._root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg")
        self._root.set("font-family", "Helvetica, Arial, 'Liberation Sans', sans-serif")

    def polygon(self, points: Sequence[Point], fill: str, stroke: str = "none", opacity: float = 1.0) -> None:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._add("polygon", points=corners, fill=fill, stroke=stroke, opacity=opacity, stroke_linejoin="round")

    def line(self, start: Point, end: Point, stroke: str, width: float = 1.0, dashes: str = "none") -> None:
        (x1, y1), (x2, y2) = start, end
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width, stroke_dasharray=dashes)

    def text(
        self, at: Point, text: str, size: float = 12, fill: str = "#222", anchor: str = "middle", weight: str = "normal"
    ) -> None:
        """Write one line, with a white rim; `at` is on its baseline, at its "start", "middle" or "end"."""
        look = {"x": at[0], "y": at[1], "font_size": size, "text_anchor": anchor, "font_weight": weight}
        rim = {"stroke": "white", "stroke_width": 2.5, "stroke_opacity": 0.8, "fill": "none"}
        self._add("text", **look, **rim, aria_hidden="true").text = text  # not every viewer knows paint-order
        self._add("text", **look, fill=fill).text = text

    def render(self, width: float, height: float) -> str:
        """The image as a file's text, on white."""
        self._root.set("viewBox", f"0 0 {width:.0f} {height:.0f}")
        self._root.set("width", f"{width:.0f}")
        self._root.set("height", f"{height:.0f}")
        self._root.insert(0, ElementTree.Element("rect", width="100%", height="100%", fill="white"))
        ElementTree.indent(self._root)
        return ElementTree.tostring(self._root, encoding="unicode", xml_declaration=True) + "\n"

    def _add(self, tag: str, **values: object) -> ElementTree.Element:
        attributes = {
            name.replace("_", "-"): f"{value:.1f}" if isinstance(value, float) else str(value)
            for name, value in values.items()
        }
        return ElementTree.SubElement(self._root, tag, attributes)
