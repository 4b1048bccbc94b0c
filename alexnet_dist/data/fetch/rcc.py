"""Qt's binary resource files, .rcc: small file systems in a file.

All numbers are big-endian. The header names where the tree, the names and the data begin. The tree's nodes have equal
lengths, the root is the first; a folder's node says how many children it has and which node is the first of them.
"""

import struct
import zlib
from collections.abc import Iterator

HEADER = struct.Struct(">4sIIII")  # "qres", format, offsets of tree, data and names
NODE = struct.Struct(">IH")  # place of the name, flags
CHILDREN = struct.Struct(">II")  # how many, the first one's number
CONTENTS = struct.Struct(">HHI")  # country, language, place in the data
IS_ZLIB, IS_FOLDER, IS_ZSTD = 1, 2, 4


def resource_files(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and contents of every file.

    Args:
        raw: an .rcc file's contents.

    Raises:
        ValueError: it is not one, or a file in it is compressed with zstd.
    """
    if raw[:4] != b"qres":
        raise ValueError("not a file of Qt resources")
    yield from _below(raw, 0, "")


def _below(raw: bytes, number: int, path: str) -> Iterator[tuple[str, bytes]]:
    _, version, tree, _, names = HEADER.unpack_from(raw)
    node = tree + number * (14 if version == 1 else 22)  # later formats add a time
    place, flags = NODE.unpack_from(raw, node)
    if number:
        (length,) = struct.unpack_from(">H", raw, names + place)
        start = names + place + 6  # after the length and a hash
        path = f"{path}/{raw[start : start + 2 * length].decode('utf-16-be')}"
    if flags & IS_FOLDER:
        count, first = CHILDREN.unpack_from(raw, node + NODE.size)
        for child in range(first, first + count):
            yield from _below(raw, child, path)
    else:
        yield path.removeprefix("/"), _contents(raw, node, flags)


def _contents(raw: bytes, node: int, flags: int) -> bytes:
    data = HEADER.unpack_from(raw)[3]
    start = data + CONTENTS.unpack_from(raw, node + NODE.size)[2]
    (length,) = struct.unpack_from(">I", raw, start)
    contents = raw[start + 4 : start + 4 + length]
    if flags & IS_ZSTD:
        raise ValueError("compressed with zstd")
    return zlib.decompress(contents[4:]) if flags & IS_ZLIB else contents  # after the unpacked length
