"""Fetching from real servers on this machine: they fail, truncate, resume, serve several processes, or do not exist."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from alexnet_dist.data.fetch.fashion_mnist import fetch
from alexnet_dist.data.sets.fashion_mnist import FILES, read_fashion_mnist
from alexnet_dist.errors import UsageError

LARGE = "train-images-idx3-ubyte.gz"


class Mirror(http.server.SimpleHTTPRequestHandler):
    """Serves a folder with ranges; may cut the large file short, or answer with an error."""

    requests: ClassVar[list[tuple[str, str | None]]] = []
    cut_after: int | None = None
    broken = False

    def do_GET(self) -> None:
        name, asked = Path(self.path).name, self.headers.get("Range")
        type(self).requests.append((name, asked))
        if self.broken:
            self.send_error(503)
            return
        content = Path(self.directory, name).read_bytes()
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        stop = type(self).cut_after if name == LARGE and type(self).cut_after else len(content)
        type(self).cut_after = None
        self.wfile.write(content[first:stop])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def mirror(fashion_mnist: Path) -> Iterator[str]:
    Mirror.requests, Mirror.cut_after, Mirror.broken = [], None, False
    handler = functools.partial(Mirror, directory=str(fashion_mnist))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def no_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which neither apt-get nor dpkg-deb is found."""
    monkeypatch.setenv("PATH", "/proc/nowhere")


def whole(folder: Path) -> bool:
    read_fashion_mnist(str(folder))
    return {path.name for path in folder.iterdir()} <= {f"{name}.gz" for name in FILES} | {".lock"}


def test_from_a_mirror(mirror: str, tmp_path: Path) -> None:
    assert fetch(str(tmp_path), [mirror]) == tmp_path and whole(tmp_path)
    asked = len(Mirror.requests)
    fetch(str(tmp_path), [mirror])
    assert len(Mirror.requests) == asked == 4


def test_a_failing_mirror_is_passed_over(mirror: str, tmp_path: Path) -> None:
    assert whole(fetch(str(tmp_path), ["http://127.0.0.1:9/", "nonsense", mirror]))


@pytest.mark.usefixtures("no_debian")
def test_a_truncated_download_goes_on_where_it_stopped(mirror: str, tmp_path: Path) -> None:
    Mirror.cut_after = 1_000_000
    with pytest.raises(UsageError, match="ended early"):
        fetch(str(tmp_path), [mirror])
    assert not (tmp_path / LARGE).exists()
    assert whole(fetch(str(tmp_path), [mirror]))
    assert (LARGE, "bytes=1000000-") in Mirror.requests


@pytest.mark.usefixtures("no_debian")
def test_a_part_that_is_no_beginning_of_the_file_is_thrown_away(mirror: str, tmp_path: Path) -> None:
    (tmp_path / LARGE).with_suffix(".part").write_bytes(b"junk" * 1000)
    with pytest.raises(UsageError, match="cannot be read"):
        fetch(str(tmp_path), [mirror])
    assert whole(fetch(str(tmp_path), [mirror]))


@pytest.mark.usefixtures("no_debian")
def test_no_source_at_all(mirror: str, tmp_path: Path) -> None:
    Mirror.broken = True
    with pytest.raises(UsageError) as caught:
        fetch(str(tmp_path), [mirror])
    line = str(caught.value)
    assert line.startswith(f"data.root: {tmp_path}: ") and "\n" not in line
    assert "503" in line and "no apt-get" in line and "copy train-images-idx3-ubyte.gz" in line


def test_two_processes_at_once(mirror: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "alexnet_dist.cli", "data", "fetch", "--root", str(tmp_path), "--mirror", mirror]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == [f"Fashion-MNIST is in {tmp_path}"] * 2
    assert sorted(name for name, _ in Mirror.requests) == sorted(f"{name}.gz" for name in FILES)
    assert whole(tmp_path)


def test_debians_package_without_root(tmp_path: Path) -> None:
    if subprocess.run(["which", "apt-get"], capture_output=True).returncode:
        pytest.skip("not a Debian machine")
    assert whole(fetch(str(tmp_path), []))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^data.root: .*: cannot be written"):
        fetch(os.fspath(tmp_path / "file" / "below"), [])
