"""The check's lines, in their short form, on the GPU of the machine that tests run on."""

from dataclasses import replace

import pytest

from alexnet_dist.gpu_check.check import run_lines
from alexnet_dist.gpu_check.lines import LINES


@pytest.mark.gpu
def test_no_line_fails() -> None:
    results = run_lines("cuda:0", lambda entries: None, [replace(line, limit=300.0) for line in LINES], "small", 3000.0)
    assert [entry for entry in results if entry["result"] == "failed"] == []
