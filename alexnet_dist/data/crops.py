"""Parts of images: squares of one size, and boxes of any size that are resized to one."""

import torch
from torch import Tensor
from torch.nn import functional

from alexnet_dist.data.dataset import on_device

# The squares of ten-view testing: the shares of the free height and width above and to the left of each.
PLACES = {
    "top left": (0.0, 0.0),
    "top right": (0.0, 1.0),
    "bottom left": (1.0, 0.0),
    "bottom right": (1.0, 1.0),
    "centre": (0.5, 0.5),
}
# Of an image that is longer than so many times its shorter side, only the middle is resized: a strip of a single row
# would become gigabytes before its central square is cut out.
LONGEST = 16


def middle(height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of an image without the far ends of a strip; see `LONGEST`."""
    most = LONGEST * min(height, width)
    rows, columns = (max(0, (side - most) // 2) for side in (height, width))
    return slice(rows, height - rows), slice(columns, width - columns)


def square_at(images: Tensor, size: int, place: tuple[float, float]) -> Tensor:
    """The square at the same place of each image, as a view.

    Args:
        images: (…, height, width).
        place: see `PLACES`.
    """
    free = (length - size for length in images.shape[-2:])
    top, left = (int(share * length) for share, length in zip(place, free, strict=True))
    return images[..., top : top + size, left : left + size]


def squares(images: Tensor, size: int, top: Tensor, left: Tensor, which: Tensor) -> Tensor:
    """A square of each image, at a place of its own; some are mirrored.

    Args:
        images: (rows, channels, height, width).
        top, left: int64 (rows,), on the images' device.
        which: are mirrored, bool (rows,), on the images' device.

    Returns:
        (rows, channels, size, size) in channels-last memory.
    """
    if images.device.type == "cpu":  # image by image, so that whole lines of pixels are copied at once
        result = _channels_last(images, size, size)
        places = zip(top.tolist(), left.tolist(), which.tolist(), strict=True)
        for row, (above, before, is_mirrored) in enumerate(places):
            square = images[row, :, above : above + size, before : before + size]
            result[row] = square.flip(2) if is_mirrored else square
        return result
    return mirrored(gathered_squares(images, size, top, left), which)


def gathered_squares(images: Tensor, size: int, top: Tensor, left: Tensor) -> Tensor:
    """What `squares` does before it mirrors, for a GPU: one indexing operation over all images."""
    windows = images.permute(0, 2, 3, 1).unfold(1, size, 1).unfold(2, size, 1).movedim(3, -1)
    rows = torch.arange(len(images), device=images.device)
    return windows[rows, top, left].permute(0, 3, 1, 2)


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    """Mirror some of the images; on a CPU in place.

    Args:
        which: bool (rows,), on the images' device.
    """
    if images.device.type == "cpu":  # the others stay where they are
        for row in which.nonzero().flatten().tolist():
            images[row] = images[row].flip(2)
        return images
    return torch.where(which[:, None, None, None], images.flip(3), images)


def _channels_last(images: Tensor, height: int, width: int) -> Tensor:
    """Uninitialised memory for as many images of another size."""
    shape = (*images.shape[:2], height, width)
    return torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=torch.channels_last)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Images at another size: the triangle filter ("bilinear") with antialiasing, as PIL's and torchvision's `resize`.

    On the CPU, uint8 images equal PIL's to the last count; on a GPU, where torch has no uint8 kernel, values are
    resized in fp32 and rounded, which is within one count.

    Args:
        images: (rows, channels, …, …), uint8 or floating; an empty batch is allowed.
    """
    if images.shape[-2:] == (height, width):
        return images
    if len(images) == 0:
        return images.new_empty((0, images.shape[1], height, width))
    if images.device.type == "cpu" or images.is_floating_point():
        return functional.interpolate(images, size=(height, width), mode="bilinear", antialias=True)
    return _rounded(functional.interpolate(images.float(), size=(height, width), mode="bilinear", antialias=True))


def resized_boxes(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """A part of each image, resized to a square as `resize` does.

    Args:
        images: uint8 (rows, channels, height, width).
        boxes: int64 (rows, 4), top, left, height and width of the parts, on the CPU.

    Returns:
        uint8 (rows, channels, size, size) in channels-last memory.
    """
    if images.device.type != "cpu":  # one after the other would be thousands of kernels
        return _rounded(resample(images.float(), boxes, size)).to(memory_format=torch.channels_last)
    shape = (len(images), images.shape[1], size, size)
    result = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
    for row, (top, left, height, width) in enumerate(boxes.tolist()):
        result[row] = resize(images[row : row + 1, :, top : top + height, left : left + width], size, size)[0]
    return result


def resample(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """What `resized_boxes` does, for floating images, as two products with matrices of weights."""
    boxes = on_device(boxes, images.device).to(images.dtype)
    rows = _weights(boxes[:, 0], boxes[:, 2], images.shape[2], size)
    columns = _weights(boxes[:, 1], boxes[:, 3], images.shape[3], size)
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).transpose(2, 3)


def _weights(start: Tensor, length: Tensor, full: int, size: int) -> Tensor:
    """(rows, size, full): how much of each of `full` pixels goes into each of `size` pixels of the part."""
    scale = (length / size)[:, None, None]
    centres = start[:, None, None] + (torch.arange(size, device=start.device)[:, None] + 0.5) * scale
    pixels = torch.arange(full, device=start.device) + 0.5
    weights = (1 - ((pixels - centres) / scale.clamp(min=1)).abs()).clamp_(min=0)
    inside = (pixels > start[:, None, None]) & (pixels < (start + length)[:, None, None])
    weights = weights * inside
    return weights / weights.sum(2, keepdim=True)


def _rounded(images: Tensor) -> Tensor:
    return images.round_().clamp_(0, 255).to(torch.uint8)
