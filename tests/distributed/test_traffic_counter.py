"""The counter sees what any caller sends, in C++ as well as in Python."""

import json
from pathlib import Path

import preloaded

PROGRAM = Path(__file__).with_name("sender.py")


def test_bytes_of_every_collective_on_three_ranks(tmp_path: Path) -> None:
    output = tmp_path / "counted.json"
    preloaded.launch(3, [str(PROGRAM), str(output)])
    counted = json.loads(output.read_text())
    # With S bytes in the full buffer and N = 3: all-reduce 2 (N - 1) / N S, the others (N - 1) / N S.
    assert counted == {
        "start": {},
        "all_reduce": {"all_reduce": 1600},
        "all_reduce bf16": {"all_reduce": 800},
        "all_gather list": {"all_gather": 80},
        "all_to_all": {"all_to_all": 800},
        "async fp64": {"all_reduce": 3200},
        "broadcast": {"broadcast": 800},
        "ddp, reduced in C++": {"all_reduce": 1600},
        "barrier": {},
    }
