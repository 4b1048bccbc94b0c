"""What is temporary is gone when a signal ends a command."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet_dist.errors import INTERRUPTED

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from alexnet_dist import cli
from alexnet_dist.config.output import new_file
from alexnet_dist.temporary import temporary_folder

def work(flags):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    with temporary_folder("outer-", folder) as outer, temporary_folder(within=outer), new_file(folder / "out") as path:
        path.write_text("half")
        print("working", flush=True)
        time.sleep(60)

cli._run = work
sys.exit(cli.main([]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left(number: signal.Signals, tmp_path: Path) -> None:
    line = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "working\n"
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(number)
        _, printed = process.communicate()
    assert process.returncode == INTERRUPTED and printed == "error: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As nohup has it."""
    program = PROGRAM.replace("time.sleep(60)", "os.kill(os.getpid(), signal.SIGHUP)")
    program = program.replace("cli._run", "signal.signal(signal.SIGHUP, signal.SIG_IGN)\ncli._run")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and [path.name for path in tmp_path.iterdir()] == ["out"], done.stderr
