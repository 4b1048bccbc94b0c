"""torch's switches for a precision: all of them can be read afterwards, and torch.compile, which reads them, works."""

from pathlib import Path

import preloaded


def test_all_can_be_read_and_torch_compile_works() -> None:
    """In a process of its own: the switches are global to a process."""
    done = preloaded.run([str(Path(__file__).with_name("switching.py"))])
    assert done.returncode == 0, done.stderr
