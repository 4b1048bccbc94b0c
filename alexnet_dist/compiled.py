"""Compiles this package's C++ files on first use, with this machine's compiler, and caches the libraries."""

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from ctypes import CDLL
from functools import cache
from pathlib import Path

from alexnet_dist.temporary import temporary_folder

# Those flags of -ffast-math that change no result: errno and the processor's exception flags are never read.
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
DIGEST_BYTES = hashlib.sha256().digest_size


@cache
def compiled(source: Path) -> tuple[CDLL | None, str | None]:
    """The library that a file is compiled to, or why there is none, as half a line."""
    compiler = _compiler()
    if compiler is None:
        return None, "no C++ compiler (c++, or what CXX names)"
    kept, shown = _cache() / f"{source.stem}-{_identity(source, compiler)}.so", shlex.join(compiler)
    if (library := _load(kept)) is not None:
        return library, None
    try:
        with temporary_folder("alexnet-dist-") as folder:
            built = folder / kept.name
            command = [*compiler, *FLAGS, str(source), "-o", str(built)]
            subprocess.run(command, check=True, capture_output=True, text=True, errors="replace", timeout=120)
            _keep(built, kept)
            # The kept copy first: the temporary folder may be on a disk mounted noexec.
            return _load(kept) or CDLL(str(built)), None
    except subprocess.CalledProcessError as error:
        return None, f"{shown} failed: {(error.stderr.strip() or 'without a word').splitlines()[0]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{shown} failed: {error}"


def _compiler() -> list[str] | None:
    """The words of CXX, as a shell splits them ("ccache g++"), with the program's path; None where it is not there."""
    try:
        program, *flags = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    except ValueError:  # a quotation mark is missing
        return None
    path = shutil.which(program)
    return None if path is None else [path, *flags]


def _load(kept: Path) -> CDLL | None:
    """A library that `_keep` wrote; None where it is not there, not whole, or cannot be loaded."""
    with suppress(OSError):
        contents = kept.read_bytes()
        if contents[-DIGEST_BYTES:] == hashlib.sha256(contents[:-DIGEST_BYTES]).digest():
            return CDLL(str(kept))
    return None


def _keep(built: Path, kept: Path) -> None:
    """Best effort: without a place to keep it, each process builds its own, which takes a second.

    A checksum follows the library, where the system's loader does not look: half a library would crash the process.
    """
    beside = kept.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            contents = built.read_bytes()
            beside.write_bytes(contents + hashlib.sha256(contents).digest())
            beside.replace(kept)  # atomic: several ranks may build at once
        finally:
            beside.unlink(missing_ok=True)


def _cache() -> Path:
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():  # others are to be ignored, as its specification says
        return chosen / "alexnet-dist"
    try:
        return Path.home() / ".cache" / "alexnet-dist"
    except RuntimeError:  # the user has no home folder
        return Path(os.devnull) / "nowhere"


def _identity(source: Path, compiler: Sequence[str]) -> str:
    """A hash of source, command and processor: machines with different instruction sets may share a home folder."""
    processor = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    parts = (source.read_text(), *compiler, str(Path(compiler[0]).resolve()), *FLAGS, processor)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
