"""Plain values from YAML texts, as a person reads them.

Scalars are read by the core schema of YAML 1.2, where 010 is ten, and 1:30 and 2012-09-30 are text; yes, no, on, off
and 1_000 are kept from YAML 1.1. Tags, anchors (and so bombs and cycles) and duplicate names are refused.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

from alexnet_dist.errors import UsageError

MAX_DEPTH = 8
_DIGITS = "[0-9]+(_[0-9]+)*"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"(?i:true|false|yes|no|on|off)", list("tTfFyYnNoO")),
    "int": (rf"[-+]?{_DIGITS}|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    "float": (
        rf"[-+]?(\.{_DIGITS}|{_DIGITS}(\.({_DIGITS})?)?)([eE][-+]?[0-9]+)?|[-+]?\.(?i:inf)|\.(?i:nan)",
        list("-+.0123456789"),
    ),
}
TEXT, NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.YAMLError("anchors and aliases are not allowed")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if not isinstance(key.value, str):
                raise yaml.MarkedYAMLError(
                    problem="a name is a list or a mapping, not plain text", problem_mark=key.start_mark
                )
            if key.value in names[:number]:
                raise yaml.MarkedYAMLError(
                    problem=f"the name {key.value!r} is given twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        text = node.value.replace("_", "")
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))


_Loader.yaml_implicit_resolvers = {}  # instead of YAML 1.1's
for _kind, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)


def parse_yaml(text: str, where: str, is_text: Callable[[str, str], bool] = lambda group, field: False) -> Any:
    """Plain values of a YAML text.

    Args:
        where: the text comes from, for messages.
        is_text: whether the field of a group takes any word as text, so that a run may be called 2012, or no.

    Raises:
        UsageError: whatever is wrong with the text.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        for group, fields in _pairs(root):
            for field, node in _pairs(fields):
                plain = isinstance(node, yaml.ScalarNode) and node.style is None
                if plain and node.tag != NULL and is_text(group.value, field.value):
                    node.tag = TEXT
        return loader.construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(where, getattr(error, "problem", None) or error, f"not plain YAML{line}") from None


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    """What a mapping holds by names of plain text; others are refused when it is constructed."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return [(key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)]


def one_line(value: Any) -> str:
    """A plain value as a person would write it after a flag."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
