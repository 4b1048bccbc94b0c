"""`alexnet-dist predict`: the classes that a trained net predicts for image files."""

import warnings
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from alexnet_dist import registry
from alexnet_dist.data.crops import middle, resize
from alexnet_dist.errors import UsageError
from alexnet_dist.training.trained_net import load_trained_net

SHOWN = 5
_MODES = {1: "L", 3: "RGB"}  # Pillow's name for images, by channels
_DEEP = ("I", "F")  # modes of more than 8 bits, which Pillow would clip
_MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow takes larger images for attacks


class Predictor:
    """A checkpoint's net on the CPU, in fp32.

    Args:
        checkpoint: or the directory of the run that has it.

    Raises:
        UsageError: no undamaged checkpoint is there, or its net takes no grey or colour images.
    """

    def __init__(self, checkpoint: Path) -> None:
        trained = load_trained_net(checkpoint)
        table, data = trained.net.table, trained.experiment.data
        if table.channels not in _MODES:
            raise UsageError(
                "--checkpoint", checkpoint, f"its net takes {table.channels} channels, image files have 1 or 3"
            )
        self._net, self._mode = trained.net, _MODES[table.channels]
        self._transform = trained.transform()
        self._side = None if trained.mean_image is None else min(trained.mean_image.shape[-2:])
        names = registry.data_sets[data.name].facts(data).class_names
        self._names = names if len(names) == table.classes else tuple(f"class {i}" for i in range(table.classes))

    @torch.no_grad()
    def classify(self, path: Path) -> list[tuple[str, float]]:
        """The likeliest classes of an image file and their probabilities, the likeliest first.

        Raises:
            UsageError: the file cannot be read as an image.
        """
        images = self._transform(self._sized(_read(path, self._mode).unsqueeze(0)))
        probabilities = self._net(images)[0].softmax(0)
        best = probabilities.topk(min(SHOWN, len(probabilities)))
        return [(self._names[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]

    def _sized(self, pixels: Tensor) -> Tensor:
        """An image whose shorter side has the length that training images had, where the net sees only a square."""
        if self._transform.crop is None:
            return pixels
        pixels = pixels[..., *middle(*pixels.shape[-2:])]
        height, width = pixels.shape[-2:]
        # 256 for squares of 224, as in 2012; a mean image has the size that was really used.
        side = self._side or round(self._transform.crop * 8 / 7)
        return resize(pixels, height * side // min(height, width), width * side // min(height, width))


def _read(path: Path, mode: str) -> Tensor:
    """An image file, upright, as uint8 (channels, height, width)."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for somebody to write
        raise UsageError("IMAGE", path, "is no file, but a pipe or a device")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            if file.mode.startswith(_DEEP):
                raise UsageError("IMAGE", path, "has more than 8 bits a channel: convert it first")
            pixels: Tensor = pil_to_tensor(ImageOps.exif_transpose(file).convert(mode))
    except UsageError:
        raise
    except Image.DecompressionBombError:
        raise UsageError("IMAGE", path, f"has more than {_MOST_PIXELS:,} pixels: scale it down first") from None
    except Exception as error:  # a broken file can make Pillow's decoders raise anything
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else "is not an image that Pillow reads"
        )
        raise UsageError("IMAGE", path, reason) from None
    return pixels
