"""`alexnet-dist layers`: its figures against independent counts, and what it draws."""

import json
import re
import subprocess
import sys
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import preloaded
import pytest
import torch
from conftest import ROOT
from in_process import command
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.parity.measure import TraceRequest, measure
from alexnet_dist.parity.trace import TrainingTrace

SYNTHETIC = ["--data.name", "synthetic"]
NETS = {
    "2012": ["--net.name", "alexnet_2012"],
    "one tower": ["--net.name", "alexnet_2012", "--net.towers", "1", "--net.norm", "false"],
    "columns": ["--net.name", "alexnet_2012", "--net.exchange", "[fc8]"],
    "four towers": ["--net.name", "alexnet_small", "--net.towers", "4", "--net.classes", "12"],
}
SVG = "{http://www.w3.org/2000/svg}"


def figures(*flags: str) -> dict[str, Any]:
    return json.loads(command("layers", *flags, "--format", "json").stdout)


@pytest.mark.parametrize("name", NETS)
def test_every_row_is_what_the_module_holds_computes_and_puts_out(name: str) -> None:
    table = table_of(resolve(load([*NETS[name], *SYNTHETIC]), 1).net)
    net, batch, outputs = AlexNet(table), 2, dict[str, tuple[int, ...]]()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    for layer, module in net.named_children():
        # Taken at once: an activation works in place.
        module.register_forward_hook(lambda _, __, output, layer=layer: outputs.update({layer: tuple(output.shape)}))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(batch, table.channels, table.size, table.size))
    flops = Counter({scope.rpartition(".")[2]: sum(by.values()) for scope, by in counter.get_flop_counts().items()})

    shown = figures(*NETS[name])
    rows = {row["layer"]: row for row in shown["layers"]}
    assert set(outputs) - set(rows) == (
        {s for s in outputs if s.startswith("exchange")} if name == "one tower" else set()
    )
    for layer, row in rows.items():
        assert outputs[layer] == (batch, *row["outputs"])
        assert row["parameters"] == sum(p.numel() for p in net.get_submodule(layer).parameters())
        assert row["multiply_adds"] * 2 * batch == flops[layer]
        assert row["activations"] in (0, prod(row["outputs"])), layer
        assert (row["activations"] == 0) == (row["kind"] in ("exchange", "flatten"))
    assert shown["totals"]["parameters"] == sum(p.numel() for p in net.parameters())
    assert shown["totals"]["multiply_adds"] * 2 * batch == flops["Global"]


def test_what_crosses_is_what_two_ranks_send(tmp_path: Path) -> None:
    """The traffic counter's bytes of the second step, by collective: gathers go forward, the others backward."""
    batch, small = 2, ["--net.name", "alexnet_small"]
    nets = [NETS["2012"], [*small, "--net.towers", "1", "--net.norm", "false"], [*small, "--net.exchange", "[fc8]"]]
    flags = [*SYNTHETIC, "--data.samples", "16", "--strategy.name", "split", "--optim.name", "sgd"]
    flags += ["--train.global_batch", str(batch)]
    traces = measure([TraceRequest([*net, *flags], 2) for net in nets], 2, tmp_path, preloaded.launch)
    for net, path in zip(nets, traces, strict=True):
        counted = dict(TrainingTrace.read(path).traffic["counted"])
        path.unlink()
        crossing = figures(*net, "--ranks", "2")["totals"]
        assert counted.pop("all_gather") == batch * crossing["bytes_forward"] > 0
        assert sum(counted.values()) == batch * crossing["bytes_backward"] > 0


def test_the_net_of_2012_in_100_columns_without_torch() -> None:
    line = [sys.executable, "-v", "-m", "alexnet_dist.cli", "layers", "--net.name", "alexnet_2012"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 100
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["conv3"] == ["3x3x256", "13x13x384", "885,120", "149,520,384", "64,896"]
    assert rows["exchange_fc6"] == ["9216", "18,432", "18,432"]
    assert rows["total"] == ["60,965,224", "724,406,816", "1,670,760", "123,344", "121,344"]
    # 61,172 values an image against every gradient: docs of the split.
    assert "244 MB of gradients" in lines[-1] and lines[-1].endswith("at a batch of 997.")
    assert not re.search(r"^import '(torch|numpy)'", done.stderr, re.MULTILINE)


def test_a_setting_of_net_or_data_changes_the_figures() -> None:
    whole, columns = figures(*NETS["2012"]), figures(*NETS["columns"], "--train.precision", "bf16")
    sees = [{row["layer"]: row["sees"] for row in net["layers"]}["conv3"] for net in (whole, columns)]
    assert sees == [[256, 3, 3], [128, 3, 3]]
    assert columns["wire_dtype"] == "bfloat16" and columns["totals"]["bytes_backward"] == 2 * 2048
    assert figures(*NETS["2012"], "--data.name", "fashion_mnist")["input"] == [1, 224, 224]
    pair = figures("--net.name", "alexnet_small", "--net.towers", "4", "--net.classes", "12", "--ranks", "2")
    assert (pair["towers"], pair["ranks"], pair["data_parallel_bytes"]) == (4, 2, 4 * pair["totals"]["parameters"])


@pytest.mark.parametrize(
    "flags, meets, rows",
    [
        (NETS["2012"], ["86.5 kB", "18.4 kB", "8.19 kB", "8.19 kB", "2.00 kB"], 2),
        (NETS["columns"], ["8.19 kB", "2.00 kB"], 2),
        (NETS["one tower"], [], 1),
        (NETS["four towers"], ["864 B", "96 B", "192 B", "192 B", "36 B"], 4),
        ([*NETS["2012"], "--ranks", "1"], ["towers meet"] * 5, 2),
    ],
)
def test_the_drawing_has_a_row_a_tower_and_a_line_where_they_meet(
    tmp_path: Path, flags: list[str], meets: list[str], rows: int
) -> None:
    done = command("layers", *flags, "--output", str(tmp_path / "net.SVG"))
    assert (done.returncode, done.stdout) == (0, f"wrote {tmp_path}/net.SVG\n")
    drawing = ElementTree.parse(tmp_path / "net.SVG").getroot()
    written = [text for text in drawing.iter(f"{SVG}text") if not text.get("aria-hidden")]
    texts = [text.text or "" for text in written]
    crossings = [line for line in drawing.iter(f"{SVG}line") if line.get("stroke-dasharray") != "none"]
    orange = [text.text for text in written if text.get("fill") == "#e8590c"]
    assert (
        len(crossings) == len(meets) and [text for text in orange if text not in ("each way", "forward only")] == meets
    )
    assert sum(text.startswith("tower ") for text in texts) == (rows if rows > 1 else 0)
    assert {"conv1", "fc8", "softmax", "parameters"} <= set(texts)
    # Nothing lies outside, and no text on another.
    width, height = (float(drawing.get(side, "0")) for side in ("width", "height"))
    placed = [(float(text.get("x", "-1")), float(text.get("y", "-1"))) for text in written]
    assert all(0 < x < width and 0 < y < height for x, y in placed) and len(set(placed)) == len(placed)


def test_the_picture_of_the_docs_is_what_the_command_draws() -> None:
    assert command("layers", *NETS["2012"], "--format", "svg").stdout == (ROOT / "docs/two-towers.svg").read_text()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--format", "pdf"], "--format: pdf: "),
        (["--format"], "--format: empty: "),
        (
            ["--output", "net.png"],
            "--output: net.png: no format has the ending .png: end the name in .txt, .json or .svg, or",
        ),
        (["--net.towers", "3", "--net.name", "alexnet_small"], "net.towers"),
        (["--ranks", "3", "--net.name", "alexnet_2012"], "net.towers: 2: 3 ranks cannot share that many towers"),
        (["--ranks", "0"], "--ranks: 0: "),
        (["--ranks", "2", "--net.name", "alexnet_2012", "--net.towers", "1"], "net.norm: true: "),
        (["--output", "/proc/nowhere/net.svg"], "--output: /proc/nowhere/net.svg: there is no folder /proc/nowhere"),
        (["--net.nmae", "alexnet_2012"], "net.nmae: alexnet_2012: "),
    ],
)
def test_a_slip_is_one_line(flags: list[str], message: str) -> None:
    done = command("layers", *flags)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {message}") and done.stdout == ""
