"""Which network interface leads to the other machines.

Gloo takes the address that the machine's own name stands for. Where the hosts file says 127.0.1.1, as Debian's does,
the other machines would be told to call themselves, and everyone waits.
"""

import fcntl
import os
import socket
import struct

from alexnet_dist.errors import UsageError

CHOICE = "GLOO_SOCKET_IFNAME"
_SIOCGIFADDR = 0x8915  # linux/sockios.h


def name_interface() -> str | None:
    """Make gloo use the interface that leads to the other machines, unless the user named one.

    Returns:
        The interface; None where all ranks are on this machine.

    Raises:
        UsageError: it cannot be told.
    """
    several = os.environ.get("LOCAL_WORLD_SIZE", world := os.environ.get("WORLD_SIZE")) != world
    if several and CHOICE not in os.environ:
        os.environ[CHOICE] = _interface_towards(os.environ["MASTER_ADDR"])
    return os.environ.get(CHOICE)


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
    # Rank 0's own name may lead nowhere but home; then the machine's one way out is meant.
    named = [name for name, address in addresses.items() if address == own] or list(addresses)
    if len(named) != 1:
        ways = ", ".join(named) or "none"
        raise UsageError(
            CHOICE, "empty", f"{socket.gethostname()} is {own} to itself; name its way to the others: {ways}"
        )
    return named[0]


def _addresses() -> dict[str, str]:
    """IPv4 addresses of this machine by interface, loopback left out."""
    addresses = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue  # it has none
            addresses[name] = socket.inet_ntoa(answer[20:24])
    return {name: address for name, address in addresses.items() if not address.startswith("127.")}
