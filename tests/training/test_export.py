"""A checkpoint's weights in other programs' formats: they load there, and compute the same."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import onnxruntime
import preloaded
import pytest
import torch
from accelerate.utils.modeling import load_state_dict
from conftest import ROOT
from safetensors import safe_open
from small_disks import NO_SPACE, mounted

from alexnet_dist.cli import main
from alexnet_dist.training.trained_net import load_trained_net


def export(checkpoint: Path, output: Path | str, *flags: str) -> CompletedProcess[str]:
    return preloaded.command("export", "--checkpoint", str(checkpoint), "--output", str(output), *flags)


def refused(done: CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words)


def test_safetensors_are_read_by_others_and_two_exports_are_the_same_bytes(smoke_run: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("one.safetensors", "other.safetensors")]
    for output in outputs:
        done = export(smoke_run, output)
        assert done.returncode == 0 and "inputs: 1 x 32 x 32, scaled to [0, 1]; data.normalise: none" in done.stdout
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    own = load_trained_net(smoke_run).net.state_dict()
    read = load_state_dict(str(outputs[0]))  # refuses a file whose metadata lack the format
    assert read.keys() == own.keys() and all(torch.equal(read[name], own[name]) for name in own)
    outputs[0].rename("alexnet.safetensors")
    (block,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/checkpoints.md").read_text(), re.MULTILINE | re.DOTALL
    )
    exec(block, loaded := dict[str, Any]())
    assert all(torch.equal(weight, own[name]) for name, weight in loaded["net"].state_dict().items())
    with safe_open(outputs[1], "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt" and metadata["step"] == "20" and '"name": "alexnet_small"' in metadata["net"]


def test_onnx_computes_the_same_wherever_the_file_lies(smoke_run: Path, tmp_path: Path) -> None:
    """A net of two towers with the response norm; batches of other sizes than the one it was exported with."""
    done = export(smoke_run, tmp_path / "net.onnx")
    assert done.returncode == 0, done.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    session = onnxruntime.InferenceSession(shutil.move(tmp_path / "net.onnx", elsewhere / "net.onnx"))
    assert session.get_modelmeta().custom_metadata_map["normalise"] == '"none"'
    net = load_trained_net(smoke_run).net
    for count in (1, 5):
        images = torch.rand(count, 1, 32, 32)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(logits), net(images), atol=1e-4)


def test_what_cannot_be_exported_leaves_no_file(
    smoke_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(export(smoke_run, "nowhere/net"), "--output: nowhere/net", "there is no folder nowhere")
    Path("taken").write_text("mine")
    Path("link").symlink_to("nothing")
    for name in ("taken", "link"):
        refused(export(smoke_run, name), f"--output: {name}", "exists already")
    refused(export(smoke_run, "net.onxx"), "--output: net.onxx", "no format has the ending .onxx", ".onnx")
    refused(export(smoke_run, "net.pt"), "--format: torchvision", "alexnet_owt", "alexnet_small", "as safetensors")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", "--checkpoint", str(smoke_run), "--output", "net", "--format", "onnx"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --format: onnx: needs onnxruntime") and "pip install" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "taken"]
    assert Path("taken").read_text() == "mine"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "100k") as folder:
        yield folder


def test_a_full_disk_is_one_line(smoke_run: Path, disk: Path) -> None:
    refused(export(smoke_run, disk / "net"), "--output", f"cannot be written ({NO_SPACE})")
    assert list(disk.iterdir()) == []
