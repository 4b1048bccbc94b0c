"""AlexNet on one or many accelerators: one readable training loop, and interchangeable strategies beneath it.

As a library, `import alexnet_dist as ad`: the names below, described in docs/python.md. Each is imported when it is
first used; `import alexnet_dist` alone imports nothing else.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alexnet_dist.compare import statistics as statistics
    from alexnet_dist.config.layer_table import layer_table as layer_table
    from alexnet_dist.distributed.traffic_counter import traffic_counter as traffic_counter
    from alexnet_dist.errors import UsageError as UsageError
    from alexnet_dist.kernels.response_norm import response_norm as response_norm
    from alexnet_dist.nets.alexnet import AlexNet as AlexNet
    from alexnet_dist.nets.alexnet import create_net as create_net
    from alexnet_dist.nets.onnx import export_onnx as export_onnx
    from alexnet_dist.nets.table import Table as Table
    from alexnet_dist.nets.torchvision_names import from_torchvision as from_torchvision
    from alexnet_dist.nets.torchvision_names import to_torchvision as to_torchvision
    from alexnet_dist.strategies.parts.towers import gather_parts as gather_parts
    from alexnet_dist.strategies.parts.towers import split as split

__version__ = "0.1.0"

# By name: its module, and what it is called there; a module by itself where that is empty.
_PLACES = {
    "layer_table": "config.layer_table:layer_table",
    "Table": "nets.table:Table",
    "create_net": "nets.alexnet:create_net",
    "AlexNet": "nets.alexnet:AlexNet",
    "from_torchvision": "nets.torchvision_names:from_torchvision",
    "to_torchvision": "nets.torchvision_names:to_torchvision",
    "export_onnx": "nets.onnx:export_onnx",
    "response_norm": "kernels.response_norm:response_norm",
    "split": "strategies.parts.towers:split",
    "gather_parts": "strategies.parts.towers:gather_parts",
    "traffic_counter": "distributed.traffic_counter:traffic_counter",
    "statistics": "compare.statistics:",
    "UsageError": "errors:UsageError",
}
__all__ = tuple(_PLACES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # to a type checker, a name that is not above is a mistake

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        place, _, attribute = _PLACES[name].partition(":")
        module = import_module(f"{__name__}.{place}")
        globals()[name] = found = getattr(module, attribute) if attribute else module
        return found
