"""Qt's binary resource files, .rcc: small file systems in a file.

All numbers are big-endian. The header names where the tree, the names and the data begin. The tree's nodes have equal
lengths, the root is the first; a folder's node says how many children it has and which node is the first of them.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

HEADER = struct.Struct(">4sIIII")  # "qres", format, offsets of tree, data and names
NODE = struct.Struct(">IH")  # place of the name, flags
CHILDREN = struct.Struct(">II")  # how many, the first one's number
CONTENTS = struct.Struct(">HHI")  # country, language, place in the data
IS_ZLIB, IS_FOLDER, IS_ZSTD = 1, 2, 4


@dataclass(frozen=True)
class Resources:
    """An .rcc file's contents.

    Raises:
        ValueError: it is not one.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if self.raw[:4] != b"qres":
            raise ValueError("not a file of Qt resources")

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and contents of every file.

        Raises:
            ValueError: one is compressed with zstd.
        """
        return self._below(0, "")

    def _below(self, number: int, path: str) -> Iterator[tuple[str, bytes]]:
        _, version, tree, _, names = HEADER.unpack_from(self.raw)
        node = tree + number * (14 if version == 1 else 22)  # later formats add a time
        place, flags = NODE.unpack_from(self.raw, node)
        if number:
            (length,) = struct.unpack_from(">H", self.raw, names + place)
            start = names + place + 6  # after the length and a hash
            path = f"{path}/{self.raw[start : start + 2 * length].decode('utf-16-be')}"
        if flags & IS_FOLDER:
            count, first = CHILDREN.unpack_from(self.raw, node + NODE.size)
            for child in range(first, first + count):
                yield from self._below(child, path)
        else:
            yield path.removeprefix("/"), self._contents(node, flags)

    def _contents(self, node: int, flags: int) -> bytes:
        data = HEADER.unpack_from(self.raw)[3]
        start = data + CONTENTS.unpack_from(self.raw, node + NODE.size)[2]
        (length,) = struct.unpack_from(">I", self.raw, start)
        contents = self.raw[start + 4 : start + 4 + length]
        if flags & IS_ZSTD:
            raise ValueError("compressed with zstd")
        return zlib.decompress(contents[4:]) if flags & IS_ZLIB else contents  # after the unpacked length
