"""From the bytes of an image file to pixels: simplejpeg for JPEG, Pillow for the rest, one kind of error for both.

Colours become RGB as with Pillow's `convert("RGB")`, of an animation the first frame is taken. EXIF's orientation is
ignored: ImageNet is commonly read without it.
"""

import io
import threading
import warnings

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from alexnet_dist.errors import message_of

Pixels = NDArray[np.uint8]  # (height, width, 3)

# Pillow's own limit. So many pixels take 268 MB.
MOST_PIXELS = 89_478_485

# Each thread keeps memory to decode JPEGs of up to this many pixels into. What malloc gives a thread was often used by
# another one just before, and lies in the other core's cache, which costs two threads a tenth of their time.
ROOM_PIXELS = 1 << 20
_thread = threading.local()


class Unreadable(Exception):
    """An image file that cannot be read; the reason in a few words."""


class Encoded:
    """An image file in memory, of which only the header was read.

    Args:
        raw: the file's contents.

    Attributes:
        height, width: in pixels.

    Raises:
        Unreadable: it is not an image.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._is_jpeg, self.height, self.width = _header(raw)

    def pixels(self, least: tuple[int, int] = (0, 0)) -> Pixels:
        """The whole image; valid until the same thread decodes another one.

        Args:
            least: height and width that will do. A JPEG that is at least twice as large is decoded at a half, 3/8, a
                quarter or an eighth of its size; (0, 0) decodes it at its own.

        Raises:
            Unreadable: the file is damaged, or of a kind that has no 8-bit colours; or the image is too large.
        """
        if not self._is_jpeg:
            _check_size(self.height, self.width)
            return _by_pillow(self._raw)
        scale = {"min_height": least[0], "min_width": least[1], "min_factor": 2 if any(least) else 1}
        height, width = simplejpeg.decode_jpeg_header(self._raw, **scale)[:2]
        _check_size(height, width)
        try:
            return simplejpeg.decode_jpeg(self._raw, "RGB", buffer=_room(height, width), **scale)
        except ValueError:  # damaged, or of a kind that only Pillow reads
            _check_size(self.height, self.width)
            return _by_pillow(self._raw)


def _room(height: int, width: int) -> Pixels | None:
    """This thread's own memory for an image, whatever was in it; None where the image is too large for that."""
    if height * width > ROOM_PIXELS:
        return None
    if not hasattr(_thread, "room"):
        _thread.room = np.empty(ROOM_PIXELS * 3, np.uint8)
    room: Pixels = _thread.room[: height * width * 3].reshape(height, width, 3)
    return room


def _header(raw: bytes) -> tuple[bool, int, int]:
    """Whether simplejpeg reads a file, and its height and width."""
    if not raw:
        raise Unreadable("empty")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(raw)
        if colours in ("YCbCr", "RGB", "Gray"):
            return True, height, width
    except ValueError:
        pass  # another format, or damaged
    with _opened(raw) as image:
        return False, image.height, image.width


def _by_pillow(raw: bytes) -> Pixels:
    with _opened(raw) as image:
        if image.mode.startswith(("I", "F")):
            raise Unreadable("more than 8 bits a channel")
        try:
            return np.array(image.convert("RGB"))
        except Exception as error:  # a damaged file can make Pillow's decoders raise anything
            raise Unreadable(message_of(error, 100)) from None


def _opened(raw: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(raw))
    except Exception as error:
        raise Unreadable("no image" if isinstance(error, UnidentifiedImageError) else message_of(error, 100)) from None


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise Unreadable(f"{height * width / 1e6:.0f} megapixels; {MOST_PIXELS / 1e6:.0f} are the most")


# Pillow warns of large images, of odd metadata and of transparent palettes, each of which is handled here or harmless.
warnings.filterwarnings("ignore", module=r"PIL\..*")
