"""`alexnet_owt` under the names of `torchvision.models.alexnet`, and back."""

from collections.abc import Mapping

from torch import Tensor

# Settings of the net that torchvision has; its weights also go with other classes and rates of dropout.
TORCHVISION_NET = {
    "name": "alexnet_owt",
    "towers": 1,
    "norm": False,
    "activation": "relu",
    "pool_overlap": True,
    "channels": 3,
}
_TORCHVISION = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}
_OURS = {theirs: ours for ours, theirs in _TORCHVISION.items()}


def to_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename `conv1.weight` to `features.0.weight`, and so on; other names stay.

    Raises:
        TypeError, ValueError: as `from_torchvision`, of this program's names.
    """
    return _renamed(state, _TORCHVISION)


def has_torchvision_names(state: Mapping[str, Tensor]) -> bool:
    return any(name.rpartition(".")[0] in _OURS for name in state)


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename `features.0.weight` to `conv1.weight`, and so on; names that are not torchvision's stay.

    Raises:
        TypeError: the state is no mapping of names to tensors.
        ValueError: no name is torchvision's.
    """
    return _renamed(state, _OURS)


def _renamed(state: Mapping[str, Tensor], layers: Mapping[str, str]) -> dict[str, Tensor]:
    if not isinstance(state, Mapping):
        raise TypeError(f"state is of type {type(state).__name__}: give a module's state_dict()")
    renamed = {}
    for name, tensor in state.items():
        layer, dot, parameter = str(name).rpartition(".")
        renamed[layers.get(layer, layer) + dot + parameter] = tensor
    if renamed and renamed.keys() == state.keys():
        first = f"the first is {next(iter(state))}, not {next(iter(layers))}.weight"
        raise ValueError(
            f"state has none of the names that are renamed: {first}; strip what stands before, if anything"
        )
    return renamed
