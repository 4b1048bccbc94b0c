"""A checkpoint's weights for other programs.

alexnet-dist export --checkpoint runs/A --format safetensors --output alexnet.safetensors
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_dist.config.output import check_output, new_file
from alexnet_dist.errors import UsageError
from alexnet_dist.training.checkpoints.files import MEAN_IMAGE

if TYPE_CHECKING:
    from torch import Tensor

    from alexnet_dist.training.trained_net import TrainedNet

TOLERANCE = 1e-4  # of an exported net's logits, relative to the largest where that is above 1
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Format:
    """One value of `--format`.

    Attributes:
        packages: that must be installed.
        write: writes a net to a file.
        logits: what another program that reads the file computes of images.
    """

    packages: tuple[str, ...]
    write: Callable[[TrainedNet, Path], None]
    logits: Callable[[TrainedNet, Path, Tensor], Tensor]


def export(checkpoint: Path, form: str, output: Path) -> None:
    """Write the whole net in fp32, whatever strategy and precision trained it; read it back and compare its logits.

    Args:
        checkpoint: or the directory of the run that has it.
        form: "safetensors" keeps this program's names (`conv1.weight`); metadata say which net it is and how its inputs
            are normalised. "torchvision" is a state dict for `torchvision.models.alexnet`, in the format of
            `torch.save`. "onnx" computes logits (batch, classes) of images (batch, channels, height, width).
        output: the file to write; it must not exist, its folder must.

    Raises:
        UsageError: no undamaged checkpoint is there, the net is not torchvision's, a package is missing, or the file
            cannot be written.
    """
    wanted = _format(form)
    check_output(output)
    from alexnet_dist.training.trained_net import load_trained_net

    trained = load_trained_net(checkpoint)
    _check_net(trained, form)
    _write(wanted, trained, output)
    table, normalise = trained.net.table, trained.experiment.data.normalise
    print(f"weights of step {trained.step} of {trained.path} in {output}")
    if normalise == "mean_image":
        scaled = f"from 0 to 255, less the mean image ({MEAN_IMAGE} of --format safetensors)"
    else:
        scaled = f"scaled to [0, 1]; data.normalise: {normalise}"
    print(f"inputs: {table.channels} x {table.size} x {table.size}, {scaled}")


def _format(form: str) -> Format:
    missing = [package for package in FORMATS[form].packages if find_spec(package) is None]
    if missing:
        raise UsageError("--format", form, f"needs {' and '.join(missing)}: pip install {' '.join(ONNX_PACKAGES)}")
    return FORMATS[form]


def _check_net(trained: TrainedNet, form: str) -> None:
    from alexnet_dist.nets.torchvision_names import TORCHVISION_NET

    net = trained.experiment.net.model_dump()
    for field, value in TORCHVISION_NET.items() if form == "torchvision" else ():
        if net[field] != value:
            theirs = f"torchvision's AlexNet has net.{field} {json.dumps(value)}, this net {json.dumps(net[field])}"
            raise UsageError("--format", form, f"{theirs}: export it as safetensors")


def _write(wanted: Format, trained: TrainedNet, output: Path) -> None:
    """Write a file that has its name only when it is complete, checked and on the disk."""
    with new_file(output) as temporary:
        wanted.write(trained, temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        _compare(wanted, trained, temporary)


def _compare(wanted: Format, trained: TrainedNet, path: Path) -> None:
    """Compare what the written file computes with the net.

    Raises:
        RuntimeError: the file computes something else, which only a defect of this program or of the format's can do.
    """
    import torch

    table = trained.net.table
    images = torch.rand(3, table.channels, table.size, table.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = trained.net(images), wanted.logits(trained, path, images)
    tolerance = TOLERANCE * max(1.0, float(ours.nan_to_num().abs().max()))
    if not torch.allclose(theirs, ours, rtol=0, atol=tolerance, equal_nan=True):
        difference = float((ours - theirs).abs().max())
        raise RuntimeError(f"the exported net's logits differ by {difference:.1e}; nothing was written")


def _described(trained: TrainedNet) -> dict[str, str]:
    """A file's metadata; readers of safetensors ask for `format`."""
    net = trained.experiment.net.model_dump(exclude={"weights"})
    normalise = json.dumps(trained.experiment.data.normalise)
    return {"format": "pt", "net": json.dumps(net), "normalise": normalise, "step": str(trained.step)}


def _write_safetensors(trained: TrainedNet, path: Path) -> None:
    from safetensors.torch import save

    tensors, mean_image = trained.net.state_dict(), trained.transform().mean_image
    if mean_image is not None:
        tensors[MEAN_IMAGE] = mean_image[0].contiguous()
    raw, metadata = save(tensors, {}), _described(trained)
    # safetensors writes metadata in an order that differs between processes: the header is rewritten here.
    # A file is the header's length (8 bytes, little-endian), the header in JSON, padded with spaces, and the tensors.
    length = int.from_bytes(raw[:8], "little")
    places = {name: value for name, value in json.loads(raw[8 : 8 + length]).items() if name != "__metadata__"}
    header = json.dumps({"__metadata__": metadata, **places}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])


def _logits_of_safetensors(trained: TrainedNet, path: Path, images: Tensor) -> Tensor:
    from safetensors.torch import load_file

    from alexnet_dist.nets.alexnet import AlexNet

    net = AlexNet(trained.net.table).eval()
    net.load_state_dict({name: value for name, value in load_file(path).items() if name != MEAN_IMAGE})
    logits: Tensor = net(images)
    return logits


def _write_torchvision(trained: TrainedNet, path: Path) -> None:
    import torch

    from alexnet_dist.nets.torchvision_names import to_torchvision

    buffer = io.BytesIO()  # on a full disk, torch.save to a file raises no OSError
    torch.save(to_torchvision(trained.net.state_dict()), buffer)
    path.write_bytes(buffer.getvalue())


def _logits_of_torchvision(trained: TrainedNet, path: Path, images: Tensor) -> Tensor:
    import torch
    from torchvision.models import alexnet

    with torch.device("meta"):
        net = alexnet(num_classes=trained.net.table.classes).eval()
    net.load_state_dict(torch.load(path, weights_only=True), assign=True)
    logits: Tensor = net(images)
    return logits


def _write_onnx(trained: TrainedNet, path: Path) -> None:
    from alexnet_dist.nets.onnx import export_onnx

    export_onnx(trained.net, path, _described(trained))


def _logits_of_onnx(trained: TrainedNet, path: Path, images: Tensor) -> Tensor:
    import torch
    from onnxruntime import InferenceSession

    session: Any = InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


FORMATS = {
    "safetensors": Format((), _write_safetensors, _logits_of_safetensors),
    "torchvision": Format((), _write_torchvision, _logits_of_torchvision),
    "onnx": Format(ONNX_PACKAGES, _write_onnx, _logits_of_onnx),
}
