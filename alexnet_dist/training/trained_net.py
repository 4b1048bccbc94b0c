"""The net of a checkpoint, whole, in one process: for prediction and for other programs."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alexnet_dist.config.load import validate
from alexnet_dist.config.resolve import table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.training.checkpoints import reader


@dataclass(frozen=True)
class TrainedNet:
    """The net of a checkpoint, ready for evaluation.

    Attributes:
        path: of the checkpoint.
        step: optimizer steps done.
        experiment: the checkpoint's `net` and `data`, and defaults.
        net: on the CPU, in fp32, in evaluation mode.
        mean_image: that is subtracted from inputs, fp32 (channels, height, width); None where none is.
    """

    path: Path
    step: int
    experiment: Experiment
    net: AlexNet
    mean_image: Tensor | None

    def transform(self) -> InputTransform:
        """What makes inputs of images."""
        return InputTransform.of(self.experiment.data, self.net.table.size, torch.float32, self.mean_image)


def load_trained_net(checkpoint: Path) -> TrainedNet:
    """Read a net, whatever strategy and precision trained it.

    Args:
        checkpoint: or the directory of the run that has it.

    Raises:
        UsageError: no undamaged checkpoint is there.
    """
    path, manifest = reader.first_undamaged(reader.find(checkpoint), print)
    experiment = validate({group: manifest.experiment[group] for group in ("net", "data")}, stored=True)
    net = AlexNet(table_of(experiment.net))
    net.load_state_dict(reader.read_whole_weights(path))
    return TrainedNet(path, manifest.step, experiment, net.eval(), reader.read_mean_image(path))
