"""Building the compiled response norm: where it can be built, where it cannot, and by several processes at once."""

import os
import signal
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import preloaded
import pytest
import torch
from small_disks import mounted
from torch import Tensor

from alexnet_dist.kernels import response_norm as module
from alexnet_dist.kernels.cpu_kernels import kernel_of

PROGRAM = Path(__file__).with_name("normed_values.py")
NORMED = [2 / 8, 2 / 12, 2 / 12, 2 / 8]


def answer(cache: Path, **environment: str) -> list[Any]:
    done = preloaded.run([str(PROGRAM)], {"XDG_CACHE_HOME": str(cache), **environment})
    assert done.returncode == 0, done.stderr
    return [literal_eval(line) for line in done.stdout.splitlines()]


def test_several_processes_at_once_leave_one_whole_and_the_next_takes_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(answer, [tmp_path] * 3):
            assert found == [True, [], pytest.approx(NORMED)]
    (kept,) = (tmp_path / "alexnet-dist").iterdir()
    written = kept.stat().st_mtime_ns
    assert answer(tmp_path) == [True, [], pytest.approx(NORMED)]
    assert kept.stat().st_mtime_ns == written
    whole = kept.read_bytes()
    middle = len(whole) // 2
    # A library that is cut short passes for one until it is used; then the kernel ends the process.
    for damaged in (b"damaged", whole[:middle], whole[:middle] + bytes(len(whole) - middle)):
        kept.write_bytes(damaged)
        assert answer(tmp_path) == [True, [], pytest.approx(NORMED)]
        assert kept.read_bytes() == whole


def test_the_compiler_may_be_several_words(tmp_path: Path) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/called\nexec "$@"\n')
    wrapper.chmod(0o755)
    assert answer(tmp_path, CXX=f"{wrapper} c++ -g0") == [True, [], pytest.approx(NORMED)]
    assert (tmp_path / "called").read_text() == "c++\n"


def test_a_cache_folder_that_is_not_absolute_is_ignored(tmp_path: Path) -> None:
    assert answer(Path("cache"), HOME=str(tmp_path)) == [True, [], pytest.approx(NORMED)]
    assert list(tmp_path.iterdir()) == [tmp_path / ".cache"] and list((tmp_path / ".cache/alexnet-dist").iterdir())


def test_with_nowhere_to_keep_it_it_is_there_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "alexnet-dist").write_text("a file where the folder should be")
    assert answer(tmp_path) == [True, [], pytest.approx(NORMED)]


@pytest.fixture
def no_programs(tmp_path: Path) -> Iterator[Path]:
    """A disk from which no program may be run."""
    with mounted(tmp_path / "noexec", "10m,noexec") as folder:
        yield folder


def test_temporary_files_from_which_no_program_may_be_run(tmp_path: Path, no_programs: Path) -> None:
    assert answer(tmp_path / "cache", TMPDIR=str(no_programs)) == [True, [], pytest.approx(NORMED)]


def test_a_compiler_whose_errors_are_no_text(tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\nprintf '\\377 broken' >&2\nexit 1\n")
    compiler.chmod(0o755)
    there, (warning,), _ = answer(tmp_path, CXX=str(compiler))
    assert not there and f"{compiler} failed: \ufffd broken" in warning


def test_a_signal_while_it_is_compiled_leaves_no_file(tmp_path: Path) -> None:
    compiler, temporary, started = tmp_path / "compiler", tmp_path / "temporary", tmp_path / "started"
    compiler.write_text(f"#!/bin/sh\ntouch {started}\nexec sleep 60\n")
    compiler.chmod(0o755)
    temporary.mkdir()
    program = f"from pathlib import Path; from alexnet_dist.compiled import compiled; compiled(Path({__file__!r}))"
    variables = {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(tmp_path / "cache"), "CXX": str(compiler)}
    line, environment = [sys.executable, "-c", program], {**os.environ, **variables}
    with subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL) as process:
        while not started.exists():
            time.sleep(0.01)
        assert list(temporary.iterdir())
        process.send_signal(signal.SIGTERM)
    assert process.returncode != 0 and list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "compiler, problem",
    [
        ("/proc/nowhere/c++", "no C++ compiler (c++, or what CXX names)"),
        ("c++ 'and", "no C++ compiler (c++, or what CXX names)"),
        ("false", "false failed: without a word"),
    ],
)
def test_without_a_working_compiler_torch_computes_and_one_line_says_so(
    tmp_path: Path, compiler: str, problem: str
) -> None:
    there, warnings, normed = answer(tmp_path, CXX=compiler)
    assert not there and normed == pytest.approx(NORMED)
    (warning,) = warnings
    assert warning.startswith("response norm: ") and problem in warning
    assert not (tmp_path / "alexnet-dist").exists()


def test_it_agrees_with_torch_on_images_of_many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x = (torch.randn(3, 96, 57, 55) * 20).contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(3, 96, 57, 55)

    def normed() -> tuple[Tensor, Tensor]:
        given = x.clone().requires_grad_()
        out = module.response_norm(given, maps=48, size=5, alpha=1e-2, beta=0.75, k=2.0)
        out.backward(gradient)
        assert given.grad is not None
        return out.detach(), given.grad

    assert kernel_of(torch.float32) is not None
    these = normed()
    monkeypatch.setattr(module, "kernel_of", lambda _: None)
    for ours, theirs in zip(these, normed(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=1e-6)
