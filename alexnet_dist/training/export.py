"""A checkpoint's weights for other programs.

alexnet-dist export --checkpoint runs/A --format safetensors --output alexnet.safetensors
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from alexnet_dist.config.load import validate
from alexnet_dist.config.resolve import table_of
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.torchvision_names import to_torchvision
from alexnet_dist.training.checkpoints import reader

FORMATS = ("safetensors", "torchvision")


def export(checkpoint: Path, form: str, output: Path) -> None:
    """Write the whole net's weights, whatever strategy trained them.

    Args:
        checkpoint: or the folder of the run that has it.
        form: "safetensors" keeps this program's names (`conv1.weight`) and says in the file's metadata which net it is;
            "torchvision" is a state dict for `torchvision.models.alexnet`, in the format of `torch.save`.
        output: the file to write; it must not exist.

    Raises:
        UsageError: no whole checkpoint is there, the net is not torchvision's, or the file cannot be written.
    """
    if form not in FORMATS:
        raise UsageError("--format", form, f"must be one of {', '.join(FORMATS)}")
    path, manifest = reader.first_undamaged(reader.find(checkpoint), print)
    net = validate({"net": manifest.experiment["net"]}).net
    if form == "torchvision" and (net.name, net.towers, net.norm, net.activation) != ("alexnet_owt", 1, False, "relu"):
        raise UsageError(
            "--format", form, f"torchvision has no {net.name} of {net.towers} towers, only plain alexnet_owt"
        )
    if output.exists():
        raise UsageError("--output", output, "exists already: choose another name")
    weights = AlexNet(table_of(net)).state_dict()
    reader.read_whole_weights(path, weights)
    try:
        if form == "torchvision":
            torch.save(to_torchvision(weights), output)
        else:
            save_file(weights, output, {"net": json.dumps(net.model_dump()), "step": str(manifest.step)})
    except OSError as error:
        raise UsageError("--output", output, f"cannot be written ({error.strerror})") from None
    print(f"weights of step {manifest.step} of {path} in {output}")
