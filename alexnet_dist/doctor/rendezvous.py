"""Where the ranks exchange what they found: a key-value store at MASTER_ADDR:MASTER_PORT. Every wait has a limit."""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from queue import Empty, Queue
from threading import Thread
from typing import Any

from torch.distributed import DistError, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from alexnet_dist.doctor.facts import RankFacts
from alexnet_dist.errors import UsageError

# Ranks of one job start within seconds of each other; some nodes read Python from a slow disk.
TIMEOUT = timedelta(seconds=25)


class Rendezvous:
    """A store that all ranks reach. Every process has a slot there, since two may claim the same rank.

    Args:
        facts: this rank's.

    Raises:
        UsageError: the store's port is taken, or rank 0 is not reached.
    """

    def __init__(self, facts: RankFacts) -> None:
        self._facts = facts
        self.store = PrefixStore("doctor", _connect(facts))
        self._slot = self.store.add("slots", 1)
        self._slots = range(1, facts.world_size + 1)

    def gather(self, problems: Sequence[UsageError]) -> tuple[list[RankFacts], list[UsageError]]:
        """All ranks' facts and problems, on every rank.

        Returns:
            The facts, by rank, and the problems, each once; a problem that only some ranks have names their hosts.

        Raises:
            UsageError: ranks are missing.
        """
        own = [asdict(self._facts), [[str(arg) for arg in problem.args] for problem in problems]]
        self.store.set(f"slot {self._slot}", json.dumps(own))
        try:
            self.store.wait([f"slot {slot}" for slot in self._slots], TIMEOUT)
        except DistError:
            raise self._missing() from None
        gathered = sorted((self._read(slot) for slot in self._slots), key=lambda entry: int(entry[0]["rank"]))
        hosts: dict[tuple[str, str, str], list[str]] = {}
        for facts, problems_there in gathered:
            for problem in problems_there:
                hosts.setdefault(tuple(problem), []).append(facts["host"])
        return [RankFacts(**facts) for facts, _ in gathered], [
            UsageError(field, given, remedy if len(there) == len(gathered) else f"{remedy} (on {_listed(there)})")
            for (field, given, remedy), there in hosts.items()
        ]

    def close(self) -> None:
        """End together, the first rank last: it hosts the store, and srun ends all ranks once one has ended."""
        if self._facts.rank == 0:
            self.store.set("reported", "yes")
        else:
            self.store.wait(["reported"], TIMEOUT)
        self.store.set(f"closed {self._slot}", "yes")
        if self._facts.rank == 0:
            self.store.wait([f"closed {slot}" for slot in self._slots], TIMEOUT)

    def _read(self, slot: int) -> Any:
        """Facts and problems of a process, as it wrote them."""
        return json.loads(self.store.get(f"slot {slot}"))

    def _missing(self) -> UsageError:
        present = [self._read(slot)[0]["rank"] for slot in self._slots if self.store.check([f"slot {slot}"])]
        missing = ", ".join(str(rank) for rank in range(self._facts.world_size) if rank not in present)
        return UsageError(
            "WORLD_SIZE",
            self._facts.world_size,
            f"rank {missing} did not come within {TIMEOUT.seconds} s: look at that node's log",
        )


def _listed(hosts: Sequence[str]) -> str:
    return ", ".join(sorted(set(hosts)))


def _connect(facts: RankFacts) -> Store:
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # A launcher's agent may hold the store itself, and then says so.
    is_master = facts.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if is_master and not _is_free(port):
        raise UsageError(
            "MASTER_PORT",
            port,
            f"taken on {facts.host} by another program, or by a second rank 0: export MASTER_PORT=, a free one",
        )
    answer: Queue[Store | Exception] = Queue()

    def connect() -> None:
        try:
            answer.put(TCPStore(address, port, is_master=is_master, timeout=TIMEOUT, wait_for_workers=False))
        except Exception as error:
            answer.put(error)

    # In a thread, which is left behind where another program answers: TCPStore would wait for ever.
    Thread(target=connect, daemon=True).start()
    try:
        store = answer.get(timeout=TIMEOUT.seconds + 1)
    except Empty:
        store = TimeoutError("something listens there but does not answer")
    if isinstance(store, Exception):
        raise UsageError(
            "MASTER_ADDR",
            f"{address}:{port}",
            f"rank 0 was not reached from {facts.host} in {TIMEOUT.seconds} s: does it run there, and does the "
            f"network let port {port} through ({first_line(store)})",
        )
    return store


def first_line(error: Exception) -> str:
    """The first line of a torch error; pages of stack may follow."""
    return str(error).partition("\n")[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
