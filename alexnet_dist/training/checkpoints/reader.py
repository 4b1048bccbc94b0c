"""Finds an undamaged checkpoint and loads it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from alexnet_dist.config.plain_yaml import one_line
from alexnet_dist.config.schema import Experiment, NetConfig, OptimConfig
from alexnet_dist.distributed.mesh import World
from alexnet_dist.errors import UsageError, refusing
from alexnet_dist.strategies.engines.base import WEIGHT
from alexnet_dist.training.checkpoints import files
from alexnet_dist.training.checkpoints.files import MEAN_IMAGE, Damaged, Manifest

_GONE = "is gone by now; a run under way deletes older ones: start again"

# Changing one of these would make it a different net or a different training; all others may change on resuming.
NET = (*(f"net.{field}" for field in NetConfig.model_fields if field != "weights"), "data.normalise")
TRAINING = (*NET, "data.name", "data.samples", "optim.name", "train.global_batch", "run.seed")
# Of the others, a change of these is reported: they change what is computed.
REPORTED = (
    *(f"data.{field}" for field in ("crop", "augment", "crop_padding", "colour_noise", "min_area", "colour_jitter")),
    *(f"optim.{field}" for field in OptimConfig.model_fields if field != "name"),
    "train.precision",
    "train.clip_norm",
)


def find(path: Path, field: str = "checkpoint") -> list[Path]:
    """The checkpoints that a path stands for: itself, or those of a run or of its folder of checkpoints, newest first.

    Args:
        field: that names the path, for messages.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    with refusing(field, path):
        if (path / files.MANIFEST).exists() or (path.name.startswith(files.PREFIX) and path.is_dir()):
            return [path]
        found = files.candidates(path / files.FOLDER) or files.candidates(path)
    if not found:
        weights = "; a file of weights is for --net.weights of a training run" if path.suffix == ".safetensors" else ""
        what = "is neither a checkpoint (…/checkpoints/step-000000500) nor a run that has one"
        raise UsageError(field, path, what + weights)
    return found


def first_undamaged(paths: list[Path], say: Callable[[str], None]) -> tuple[Path, Manifest]:
    """The first checkpoint that matches its checksums.

    Args:
        say: prints a line for each damaged one.

    Raises:
        UsageError: all are damaged, one was deleted meanwhile, or one may not be read: it may be whole.
    """
    reason = ""
    for path in paths:
        try:
            with refusing("checkpoint", path):
                return path, files.verify(path)
        except Damaged as damage:
            if not path.exists():
                raise UsageError("checkpoint", path, _GONE) from None
            reason = str(damage)
            say(f"warning: {reason}" + ("; taking the one before it" if path != paths[-1] else ""))
    raise UsageError("checkpoint", paths[-1], f"no whole checkpoint is left ({reason}): choose another, or train anew")


def check_same(manifest: Manifest, experiment: Experiment, fields: Sequence[str] = TRAINING) -> None:
    """Refuse a checkpoint of another training, or of another net.

    Args:
        experiment: resolved.
        fields: that must be the same: `TRAINING` or `NET`.

    Raises:
        UsageError: the first field that differs, with both values.
    """
    for dotted, before, given in _changed(manifest, experiment, fields):
        raise UsageError(dotted, given, f"the checkpoint was trained with {before}: that must be the same")


def changes(manifest: Manifest, experiment: Experiment) -> str:
    """Settings that training goes on with and was not begun with, such as "optim.lr 0.1 (was 0.2)"; empty: none."""
    found = _changed(manifest, experiment, REPORTED)
    return ", ".join(f"{dotted} {one_line(given)} (was {one_line(before)})" for dotted, before, given in found)


def _changed(manifest: Manifest, experiment: Experiment, fields: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
    """Each field whose value differs, with the checkpoint's and the experiment's."""
    then, now, defaults = manifest.experiment, experiment.model_dump(), Experiment().model_dump()
    for dotted in fields:
        group, field = dotted.split(".")
        # A checkpoint may be older than a field: then it was trained with what is the default now.
        before, given = then[group].get(field, defaults[group][field]), now[group][field]
        if before != given:
            yield dotted, before, given


def read_into(path: Path, state: dict[str, Tensor], world: World) -> None:
    """Fill a state's tensors from a checkpoint, whatever ranks wrote it. Collective.

    Raises:
        UsageError: the checkpoint lacks a part of the state, or is gone.
    """
    reader, held = _open(path)
    # A loss scale starts afresh where the checkpoint was trained without one.
    wanted: dict[str, Any] = {
        name: t for name, t in state.items() if name in held or not name.startswith("loss_scale.")
    }
    missing = sorted(set(wanted) - set(held))
    if missing:
        gone = not files.all_are_there(path)
        raise UsageError("checkpoint", path, _GONE if gone else f"does not hold {missing[0]}")
    with _refused_where_gone(path):
        load(wanted, storage_reader=reader, process_group=world.control, no_dist=world.control is None)


def _open(path: Path) -> tuple[HuggingFaceStorageReader, dict[str, Any]]:
    """A checkpoint's reader, and what it holds, by name.

    Raises:
        UsageError: it is gone.
    """
    reader = HuggingFaceStorageReader(str(path))
    with _refused_where_gone(path):
        return reader, reader.read_metadata().state_dict_metadata


@contextmanager
def _refused_where_gone(path: Path) -> Iterator[None]:
    """Say in a line that a checkpoint was deleted after it was found."""
    try:
        yield
    except (Exception, CheckpointException):  # the latter is no Exception
        if files.all_are_there(path):
            raise
        raise UsageError("checkpoint", path, _GONE) from None


def read_whole_weights(path: Path) -> dict[str, Tensor]:
    """A whole net's weights by one-device name, in the dtype that they were trained in; in this process only."""
    return {name.removeprefix(WEIGHT): weight for name, weight in _read_whole(path, WEIGHT).items()}


def read_mean_image(path: Path) -> Tensor | None:
    """The mean image that inputs need, fp32 (channels, height, width); None where they need none."""
    return _read_whole(path, MEAN_IMAGE).get(MEAN_IMAGE)


def _read_whole(path: Path, prefix: str) -> dict[str, Tensor]:
    reader, held = _open(path)
    tensors: dict[str, Any] = {
        name: torch.empty(tensor.size, dtype=tensor.properties.dtype)
        for name, tensor in held.items()
        if name.startswith(prefix) and isinstance(tensor, TensorStorageMetadata)
    }
    if tensors:
        with _refused_where_gone(path):
            load(tensors, storage_reader=reader, no_dist=True)
    return tensors
