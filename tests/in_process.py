"""Commands that start nothing and keep nothing, run in the tests' own process."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from subprocess import CompletedProcess

from alexnet_dist.cli import main


def command(*words: str) -> CompletedProcess[str]:
    """`alexnet-dist WORDS`."""
    with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        code = main(words)
    return CompletedProcess(words, code, stdout.getvalue(), stderr.getvalue())
