"""Chooses the network interface that leads to the other machines, and checks the loopback interface of this one.

Gloo uses the address that the machine's own name resolves to. Where that is 127.0.1.1, as in Debian's hosts file, ranks
on other machines would connect to themselves, and every rank waits.
"""

import os
import socket

import psutil

from alexnet_dist.distributed.launched_rank import launched_rank
from alexnet_dist.errors import UsageError

CHOICE = "GLOO_SOCKET_IFNAME"


def choose_interface() -> str | None:
    """Make gloo use the interface that leads to the other machines, unless the user named one.

    Returns:
        The interface; None where all ranks are on this machine.

    Raises:
        UsageError: several interfaces are possible, or none, or the user's own choice is none.
    """
    rank = launched_rank(os.environ)
    given = os.environ.get(CHOICE)  # empty counts as unset, for gloo as well
    if given and rank.world_size > 1:
        _check_choice(given)
    if not given and rank.local_world_size < rank.world_size:
        os.environ[CHOICE] = _interface_towards(os.environ["MASTER_ADDR"])
    return os.environ.get(CHOICE) or None


def check_loopback() -> None:
    """
    Raises:
        UsageError: the loopback interface is down, as in a new network namespace; torch would retry for a quarter of an
            hour.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("127.0.0.1", 9))
            is_up = probe.getsockname()[0].startswith("127.")
        except OSError:
            is_up = False
    if not is_up:
        raise UsageError("loopback", "down", "ranks of a machine reach each other through it: ip link set lo up")


def _check_choice(given: str) -> None:
    known = psutil.net_if_addrs()
    for name in given.split(","):
        if not any(entry.family in (socket.AF_INET, socket.AF_INET6) for entry in known.get(name, ())):
            raise UsageError(CHOICE, given, f"no interface with an address is called {name}: {', '.join(known)}")


def _interface_towards(host: str) -> str:
    addresses = _addresses()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # sends nothing: asks the routing table
            own = probe.getsockname()[0]
    except OSError as error:
        raise UsageError(
            "MASTER_ADDR", host, f"cannot be reached from {socket.gethostname()} ({error.strerror})"
        ) from None
    # On the machine of rank 0 the name may lead to loopback; then the machine's only other interface is meant.
    named = [name for name, address in addresses.items() if address == own] or list(addresses)
    if len(named) != 1:
        choices = ", ".join(named) or "none"
        raise UsageError(
            CHOICE, "empty", f"{socket.gethostname()} resolves to {own}; name its interface to the others: {choices}"
        )
    return named[0]


def _addresses() -> dict[str, str]:
    """IPv4 addresses of this machine by interface, loopback left out."""
    return {
        name: entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if entry.family == socket.AF_INET and not entry.address.startswith("127.")
    }
