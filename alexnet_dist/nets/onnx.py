"""A net in the ONNX format: needs the packages onnx and onnxscript (`pip install alexnet-dist[onnx]`)."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from alexnet_dist.nets.alexnet import AlexNet, check_whole


def export_onnx(net: AlexNet, path: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """Write a net without dropout as one ONNX file in fp32, weights included.

    Its input `images` is (batch, channels, size, size) and its output `logits` (batch, classes); the batch size is
    dynamic. The response norm becomes ONNX's own LRN.

    Args:
        net: whole, on any device.
        path: the file to write; one that exists is replaced.
        metadata: names and values that the file keeps.

    Raises:
        ImportError: onnx or onnxscript is missing.
        TypeError: it is another module, or this one in a wrapper such as DDP's.
        ValueError: it is split, and has a part of the weights.
    """
    if not isinstance(net, AlexNet):
        raise TypeError(f"net is of type {type(net).__name__}: give an AlexNet, without what wraps it")
    check_whole(net)
    exported, table = deepcopy(net).float().eval(), net.table
    device = next(net.parameters()).device
    program = torch.onnx.export(
        exported,
        (torch.zeros(2, table.channels, table.size, table.size, device=device),),
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        custom_translation_table={torch.ops.alexnet_dist.response_norm.default: _response_norm},
    )
    assert program is not None, "dynamo's exporter returns a program"
    program.model.metadata_props.update(metadata or {})
    program.save(path, external_data=False)


def _response_norm(x: Any, maps: int, size: int, alpha: float, beta: float, k: float) -> Any:
    """Each tower as an image of its own: LRN's windows reach over all channels."""
    import onnxscript

    ops: Any = onnxscript.opset18
    towers = ops.Reshape(x, ops.Constant(value_ints=[-1, maps, *x.shape[2:]]))
    normed = ops.LRN(towers, size=size, alpha=alpha, beta=beta, bias=k)
    return ops.Reshape(normed, ops.Constant(value_ints=[-1, *x.shape[1:]]))
