"""Image files of every kind that a folder may hold, whole and broken, against Pillow."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import jpeg, pictures
from PIL import Image
from torchvision import transforms

from alexnet_dist.data.crops import LONGEST
from alexnet_dist.data.imagenet.decode import Encoded, Unreadable
from alexnet_dist.data.imagenet.resizing import part, whole

Change = Callable[[Image.Image], bytes]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str) -> Change:
    return lambda image: saved(image, kind, save_all=True, append_images=[image.rotate(90), image.rotate(180)])


READABLE: dict[str, Change] = {
    "plain": jpeg,
    "progressive": lambda image: jpeg(image, progressive=True),
    "4:4:4": lambda image: jpeg(image, subsampling=0),
    "junk behind the end": lambda image: jpeg(image) + b"junk",
    "grey": lambda image: jpeg(image.convert("L")),
    "CMYK": lambda image: jpeg(image.convert("CMYK")),
    "turned by EXIF": lambda image: jpeg(image, exif=_turned()),
    "PNG": lambda image: saved(image, "PNG"),
    "PNG with alpha": lambda image: saved(image.convert("RGBA"), "PNG"),
    "palette": lambda image: saved(image.convert("P"), "PNG"),
    "transparent palette": lambda image: saved(image.convert("P"), "PNG", transparency=bytes(range(256))),
    "black and white": lambda image: saved(image.convert("1"), "PNG"),
    "WebP": lambda image: saved(image, "WEBP"),
    "BMP": lambda image: saved(image, "BMP"),
    "animated GIF": animated("GIF"),
    "animated WebP": animated("WEBP"),
}
BROKEN: dict[str, tuple[Change, str]] = {
    "nothing": (lambda image: b"", "empty"),
    "text": (lambda image: b"<html>not found</html>", "no image"),
    "a JPEG's header alone": (lambda image: jpeg(image)[:100], "(?i)truncated"),
    "a truncated JPEG": (lambda image: jpeg(image)[:-500], "truncated"),
    "a truncated PNG": (lambda image: saved(image, "PNG")[:-500], "truncated"),
    "a truncated WebP": (lambda image: saved(image, "WEBP")[:-300], "decode|truncated|image"),
    "16 bits a channel": (lambda image: saved(image.convert("I;16"), "PNG"), "8 bits"),
    "an enormous PNG": (lambda image: _png_header(40_000, 40_000), "1600000000 pixels"),
}


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _png_header(width: int, height: int) -> bytes:
    """A file that claims to be large, as those that are made to exhaust memory do."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def image(photographs: Path) -> Image.Image:
    return pictures(photographs, 1, 300)[0]


@pytest.mark.parametrize("name", READABLE)
def test_what_can_be_read_has_pillows_pixels(name: str, image: Image.Image) -> None:
    raw = READABLE[name](image)
    encoded = Encoded(raw)
    with Image.open(io.BytesIO(raw)) as theirs:
        expected = np.asarray(theirs.convert("RGB"))
    assert (encoded.height, encoded.width) == expected.shape[:2]
    np.testing.assert_array_equal(encoded.pixels(), expected)


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_says_why(name: str, image: Image.Image) -> None:
    change, reason = BROKEN[name]
    with pytest.raises(Unreadable, match=reason) as caught:
        Encoded(change(image)).pixels()
    assert "\n" not in str(caught.value) and str(caught.value)


def test_every_cut_of_a_file_is_read_or_refused(image: Image.Image) -> None:
    for raw in (jpeg(image), saved(image, "PNG"), saved(image, "GIF"), saved(image, "WEBP")):
        for stop in range(0, len(raw) - 1, len(raw) // 60):
            try:
                pixels = whole(Encoded(raw[:stop]), 64)
            except Unreadable:
                continue
            assert pixels.shape == (64, 64, 3)


def test_an_enormous_jpeg_is_read_at_a_fraction_of_its_size() -> None:
    """9,000 x 9,000 would take 243 MB; at an eighth it takes 4."""
    raw = jpeg(Image.linear_gradient("L").resize((9_000, 9_000)))
    pixels = whole(Encoded(raw), 256)
    assert np.abs(pixels[:, 128, 0].astype(int) - np.arange(256)).max() <= 2
    with pytest.raises(Unreadable, match="megapixels"):
        Encoded(jpeg(Image.new("L", (30_000, 30_000)))).pixels()


def test_whole_images_are_torchvisions(photographs: Path) -> None:
    theirs = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(256)])
    for image in pictures(photographs, 12, 600):
        raw = jpeg(image)
        with Image.open(io.BytesIO(raw)) as decoded:
            expected = np.asarray(theirs(decoded)).astype(int)
        assert np.abs(whole(Encoded(raw), 256) - expected).max() <= 1


def test_parts_are_pillows_where_nothing_is_skipped_in_decoding(photographs: Path) -> None:
    for image in pictures(photographs, 12, 500):
        encoded = Encoded(jpeg(image))
        top, left, height, width = 20, 31, encoded.height // 2, encoded.width // 2
        with Image.open(io.BytesIO(jpeg(image))) as decoded:
            cut = decoded.crop((left, top, left + width, top + height))
        expected = np.asarray(cut.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(part(encoded, (top, left, height, width), 224) - expected).max() <= 1


def test_a_part_of_a_large_image_is_the_same_part_at_half_the_size(photographs: Path) -> None:
    """The filters differ, so pixels do; but it is neither moved nor cut elsewhere."""
    image = pictures(photographs, 1, 1000)[0]
    box = (100, 80, image.height - 200, image.width - 160)
    found = part(Encoded(jpeg(image)), box, 128).astype(int)
    with Image.open(io.BytesIO(jpeg(image))) as decoded:
        cut = decoded.crop((box[1], box[0], box[1] + box[3], box[0] + box[2]))
    expected = np.asarray(cut.resize((128, 128), Image.Resampling.BILINEAR)).astype(int)
    moved = np.abs(np.roll(expected, 2, axis=1) - expected).mean()
    assert np.abs(found - expected).mean() < 0.5 * moved


def test_of_a_strip_the_middle_alone_is_resized() -> None:
    """All of it would take gigabytes where it is a row of 60,000 pixels."""
    strip = np.random.default_rng(0).integers(0, 256, (10, 20_001, 3), np.uint8)
    for pixels in (strip, strip.swapaxes(0, 1)):
        image = Image.fromarray(np.ascontiguousarray(pixels))
        left, top = (max(0, (side - LONGEST * 10) // 2) for side in image.size)
        middle = image.crop((left, top, image.width - left, image.height - top))
        assert np.array_equal(whole(Encoded(saved(image, "PNG")), 32), whole(Encoded(saved(middle, "PNG")), 32))
