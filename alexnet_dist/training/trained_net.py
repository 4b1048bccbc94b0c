"""The net of a checkpoint, whole, in one process: for prediction and for other programs."""

from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.config.load import validate
from alexnet_dist.config.resolve import table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.training.checkpoints import reader


@dataclass(frozen=True)
class TrainedNet:
    """Attributes:
    path: of the checkpoint.
    step: optimizer steps done.
    experiment: the checkpoint's `net` and `data`, and defaults.
    net: on the CPU, in fp32, in evaluation mode.
    """

    path: Path
    step: int
    experiment: Experiment
    net: AlexNet


def load_trained_net(checkpoint: Path) -> TrainedNet:
    """Read a net, whatever strategy and precision trained it.

    Args:
        checkpoint: or the folder of the run that has it.

    Raises:
        UsageError: no undamaged checkpoint is there.
    """
    path, manifest = reader.first_undamaged(reader.find(checkpoint), print)
    experiment = validate({group: manifest.experiment[group] for group in ("net", "data")})
    net = AlexNet(table_of(experiment.net))
    net.load_state_dict(reader.read_whole_weights(path))
    return TrainedNet(path, manifest.step, experiment, net.eval())
