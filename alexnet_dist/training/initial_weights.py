"""Starts a net from weights that were trained before: `net.weights`."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alexnet_dist.config.resolve import NORMALISATIONS
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.torchvision_names import TORCHVISION_NET, from_torchvision, has_torchvision_names
from alexnet_dist.training.checkpoints import reader
from alexnet_dist.training.checkpoints.files import MEAN_IMAGE

FIELD = "net.weights"
# Settings that do not change what weights compute, or that may be others than the weights were trained with.
_MAY_DIFFER = ("weights", "classes", "dropout")


@dataclass(frozen=True)
class TrainedWeights:
    """Weights from a file, and what is known of their training.

    Attributes:
        weights: by one-device name.
        origin: in words.
        net: settings of the net that they belong to, as far as these are known.
        normalise: `data.normalise` that they were trained with; None where it is not known.
    """

    weights: Mapping[str, Tensor]
    origin: str
    net: Mapping[str, Any]
    normalise: Any


@torch.no_grad()
def load_initial_weights(net: AlexNet, experiment: Experiment) -> list[str]:
    """Fill a whole net from what `net.weights` names. What is not taken keeps its values.

    The last layer may have other classes, and then is not taken.

    Args:
        net: initialised; changed in place, in its own dtype.
        experiment: resolved, with `net.weights`.

    Returns:
        Lines that say what was taken and what was not.

    Raises:
        UsageError: there are no weights, or they are another net's. The net is unchanged.
    """
    given = str(experiment.net.weights)
    source = read_trained_weights(Path(given))
    last = [shaped.layer.name for shaped in net.table.shaped_layers if shaped.weight][-1]
    taken, anew = dict[str, Tensor](), dict[str, str]()
    for name, parameter in net.named_parameters():
        layer, found = name.rpartition(".")[0], source.weights.get(name)
        if found is None:
            anew[layer] = f"{layer} (not in the file)"
        elif found.shape == parameter.shape:
            taken[name] = found
        elif layer == last and found.shape[1:] == parameter.shape[1:]:
            anew[layer] = f"{layer} ({len(found)} classes in the file, {len(parameter)} here)"
        else:
            raise UsageError(FIELD, given, _misfit(name, found, parameter, source, experiment))
    if not taken:
        held = ", ".join(list(source.weights)[:3])
        raise UsageError(FIELD, given, f"has no layer of {net.table.name} (it begins with {held or 'nothing'})")
    for name, value in taken.items():
        net.get_parameter(name).copy_(value)
    unknown = dict.fromkeys(name.rpartition(".")[0] for name in source.weights if name not in net.state_dict())
    return _report(given, source, [*anew.values()], [*unknown], experiment)


def read_trained_weights(path: Path) -> TrainedWeights:
    """Read the weights of a run, a checkpoint, a safetensors file, or a state dict in the format of `torch.save`.

    Raises:
        UsageError: there is nothing of the kind.
    """
    if os.path.isdir(path):
        return _read_checkpoint(path)
    weights, metadata = _read_file(path)
    if has_torchvision_names(weights):
        return TrainedWeights(
            from_torchvision(weights), "torchvision's AlexNet", TORCHVISION_NET, NORMALISATIONS["imagenet"]
        )
    try:
        net, normalise = (json.loads(metadata[name]) for name in ("net", "normalise"))
    except (ValueError, KeyError):
        return TrainedWeights(weights, "a state dict", {}, None)
    return TrainedWeights(weights, "an export", net, normalise)


def _read_checkpoint(path: Path) -> TrainedWeights:
    try:
        checkpoint, manifest = reader.first_undamaged(reader.find(path), print)
    except UsageError as error:
        raise UsageError(FIELD, error.given, error.remedy) from None
    return TrainedWeights(
        reader.read_whole_weights(checkpoint),
        f"step {manifest.step} of a run",
        manifest.experiment["net"],
        manifest.experiment["data"]["normalise"],
    )


def _read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and safetensors' metadata."""
    if os.path.exists(path) and not os.path.isfile(path):  # Path.exists raises where the folder may not be read
        raise UsageError(FIELD, path, "is no file, but a device or a pipe")
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(FIELD, path, error.strerror or "cannot be read") from None
    try:
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name != MEAN_IMAGE]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except SafetensorError:
        pass
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a foreign file can make torch's reader raise anything
        remedy = "is neither safetensors nor a state dict of torch.save: give either of these, a run or a checkpoint"
        raise UsageError(FIELD, path, remedy) from None
    if not isinstance(state, dict) or not all(
        isinstance(value, Tensor) and value.is_floating_point() for value in state.values()
    ):
        raise UsageError(FIELD, path, "holds no state dict: save only the model's state_dict()")
    return state, {}


def _misfit(name: str, found: Tensor, parameter: Tensor, source: TrainedWeights, experiment: Experiment) -> str:
    there, here = (" x ".join(map(str, tensor.shape)) for tensor in (found, parameter))
    differing = _differing(source, experiment)
    remedy = f"set {', '.join(differing)}" if differing else "choose the net that these weights belong to"
    return f"{name} is {there} in the file and {here} in this net: {remedy}"


def _differing(source: TrainedWeights, experiment: Experiment) -> list[str]:
    """Settings of the net that the weights belong to, where this net has others."""
    own = experiment.net.model_dump()
    return [
        f"net.{field} {json.dumps(value)}"
        for field, value in source.net.items()
        if field not in _MAY_DIFFER and own.get(field) != value
    ]


def _report(
    given: str, source: TrainedWeights, anew: list[str], unknown: list[str], experiment: Experiment
) -> list[str]:
    taken = "all layers taken" if not anew else f"initialised anew: {', '.join(anew)}; all other layers taken"
    left = f"; not used: {', '.join(unknown)}" if unknown else ""
    lines = [f"{FIELD}: {given} ({source.origin}): {taken}{left}"]
    if differing := _differing(source, experiment):
        lines.append(f"warning: {FIELD}: these weights were trained with {', '.join(differing)}")
    here = experiment.data.normalise
    if source.normalise is not None and source.normalise != here:
        then, now = (next((n for n, v in NORMALISATIONS.items() if v == x), x) for x in (source.normalise, here))
        lines.append(f"warning: {FIELD}: these weights were trained with data.normalise {then}, here it is {now}")
    return lines
