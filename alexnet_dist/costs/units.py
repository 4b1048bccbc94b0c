"""Counts of bytes, values, operations and things, and losses, as text."""

_PREFIXES = ("", "k", "M", "G", "T", "P")


def counted(number: int, name: str, plural: str = "s") -> str:
    """A number of things: "1 rank", "2 ranks".

    Args:
        plural: is appended to the name of one.
    """
    return f"{number} {name}{'' if number == 1 else plural}"


def shared_batch(global_batch: int, replicas: int, accumulate: int) -> str:
    """How replicas share a global batch: "64 = 2 replicas x 1 micro-batch x 32 samples"."""
    samples = counted(global_batch // replicas // accumulate, "sample")
    return f"{global_batch} = {counted(replicas, 'replica')} x {counted(accumulate, 'micro-batch', 'es')} x {samples}"


def loss_text(loss: float) -> str:
    """A loss with four decimals; one as large as in a run that is about to diverge with four digits, "1.234e+26"."""
    return f"{loss:.4f}" if loss < 1e5 else f"{loss:.4g}"


def three_digits(count: float, unit: str = "") -> str:
    """Three significant digits with a decimal prefix: 243,860,896 bytes are "244 MB", 1,000 are "1.00 kB"."""
    power = 0
    while count >= 999.5 and power < len(_PREFIXES) - 1:
        count, power = count / 1000, power + 1
    suffix = f" {_PREFIXES[power]}{unit}".rstrip()
    if power == 0:
        return f"{count:.0f}{suffix}"
    # Rounding may add a digit before the point: 9.996 is 10.0.
    decimals = 2 if count < 9.995 else 1 if count < 99.95 else 0
    return f"{count:.{decimals}f}{suffix}"
