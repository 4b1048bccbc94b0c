"""The compiled response norm: built by this machine's C++ compiler at first need, kept for later processes."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from ctypes import CDLL, c_double, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from alexnet_dist.nets.table import Norm, Table

SOURCE = Path(__file__).with_name("response_norm.cpp")
# The flags of -ffast-math that change no result: nobody reads errno or the processor's exception flags.
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
DTYPES = {torch.bfloat16: c_float, torch.float32: c_float, torch.float64: c_double}  # and what constants are there

Kernel = Callable[..., None]


def kernel_of(dtype: torch.dtype) -> Kernel | None:
    """`norm_DTYPE` of response_norm.cpp; None where the dtype has none or it cannot be built here."""
    library, _ = _library()
    if library is None or dtype not in DTYPES:
        return None
    kernel = library[f"norm_{str(dtype).removeprefix('torch.')}"]
    wide = DTYPES[dtype]
    kernel.argtypes = (c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64, wide, wide, wide)
    kernel.restype = None
    return kernel


def kernel_warnings(table: Table, device: torch.device) -> list[str]:
    """Why a net that needs the kernel goes without, as one line."""
    if device.type != "cpu" or not any(isinstance(layer, Norm) for layer in table.layers):
        return []
    _, problem = _library()
    return [f"response norm: {problem}: computed with torch's operations, several times slower"] if problem else []


@cache
def _library() -> tuple[CDLL | None, str | None]:
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        return None, "no C++ compiler (c++, or what CXX names)"
    kept = _cache() / f"response_norm-{_identity(compiler)}.so"
    with suppress(OSError):
        return CDLL(str(kept)), None
    with TemporaryDirectory(prefix="alexnet-dist-") as folder:
        built = Path(folder) / kept.name
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(built)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            library = CDLL(str(built))
        except subprocess.CalledProcessError as error:
            return None, f"{compiler} failed: {(error.stderr.strip() or 'without a word').splitlines()[0]}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, f"{compiler} failed: {error}"
        _keep(built, kept)
    return library, None


def _keep(built: Path, kept: Path) -> None:
    """Best effort: where there is no place to keep it, each process builds its own, in a second."""
    beside = kept.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(built, beside)
            beside.replace(kept)  # whole or not at all, also where several ranks build at once
        finally:
            beside.unlink(missing_ok=True)


def _cache() -> Path:
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "alexnet-dist"
    try:
        return Path.home() / ".cache" / "alexnet-dist"
    except RuntimeError:  # a user without a home
        return Path(os.devnull) / "nowhere"


def _identity(compiler: str) -> str:
    """Of source, command and processor: a home folder may be shared by machines with different instructions."""
    processor = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    parts = (SOURCE.read_text(), compiler, str(Path(compiler).resolve()), *FLAGS, processor)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
