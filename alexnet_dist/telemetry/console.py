"""The console that tables are printed on."""

from rich.console import Console

WIDTH = 100


def new_console() -> Console:
    """As wide as the terminal; 100 columns where there is none."""
    return Console(width=None if Console().is_terminal else WIDTH, highlight=False)
