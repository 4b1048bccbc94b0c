"""Chooses the network interface that leads to the other machines; checks the loopback interface and host names.

Gloo uses the address that the machine's own name resolves to. Where that is 127.0.1.1, as in Debian's hosts file, ranks
on other machines would connect to themselves, and every rank waits.
"""

import os
import socket
import time

import psutil

from alexnet_dist.distributed.launched_rank import launched_rank
from alexnet_dist.errors import UsageError

INTERFACE = "GLOO_SOCKET_IFNAME"
RESOLVE_SECONDS = 10.0  # a cluster's name server may learn a node's name some seconds after the node is up


def choose_interface() -> str | None:
    """Make gloo use the interface that leads to the other machines, unless the user named one.

    Returns:
        The interface; None where all ranks are on this machine.

    Raises:
        UsageError: several interfaces are possible, or none, or the user's own choice is not an interface.
    """
    rank = launched_rank(os.environ)
    given = os.environ.get(INTERFACE)  # empty counts as unset, for gloo as well
    if given and rank.world_size > 1:
        _check_choice(given)
    if not given and rank.local_world_size < rank.world_size:
        os.environ[INTERFACE] = _interface_towards(os.environ["MASTER_ADDR"])
    return os.environ.get(INTERFACE) or None


def check_loopback() -> None:
    """Refuse a machine without loopback.

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


def check_resolves(field: str, host: str) -> None:
    """Refuse a host name that does not resolve.

    Args:
        field: the variable or flag that names the host.

    Raises:
        UsageError: the name does not resolve, even after some seconds; torch would retry for ten minutes.
    """
    deadline = time.monotonic() + RESOLVE_SECONDS
    while True:
        try:
            socket.getaddrinfo(host, None)
            return
        except (OSError, UnicodeError) as error:  # UnicodeError: no host can have this name
            if isinstance(error, UnicodeError) or time.monotonic() > deadline:
                reason = getattr(error, "strerror", None) or error
                remedy = f"does not resolve on {socket.gethostname()} ({reason}): correct it, or give the IP address"
                raise UsageError(field, host, remedy) from None
        time.sleep(0.5)


def _check_choice(given: str) -> None:
    known = psutil.net_if_addrs()
    for name in given.split(","):
        if not any(entry.family in (socket.AF_INET, socket.AF_INET6) for entry in known.get(name, ())):
            raise UsageError(INTERFACE, given, f"no interface with an address is called {name}: {', '.join(known)}")


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
            INTERFACE, "empty", f"{socket.gethostname()} resolves to {own}; name its interface to the others: {choices}"
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
