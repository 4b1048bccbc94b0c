"""Where the ranks first meet: a key-value store at MASTER_ADDR:MASTER_PORT. Every wait has an end."""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from queue import Empty, Queue
from threading import Thread

from torch.distributed import DistError, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from alexnet_dist.doctor.facts import Facts
from alexnet_dist.errors import UsageError

# Ranks of one job start within seconds of each other; some nodes read Python from a slow disk.
PATIENCE = timedelta(seconds=25)


class Rendezvous:
    """Everyone's facts and problems, by everyone.

    Args:
        facts: this rank's.

    Raises:
        UsageError: the place cannot be taken or reached.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.store = PrefixStore("doctor", _store(facts))
        self._seat = self.store.add("seats", 1)  # not the rank: two may claim the same

    def gather(self, problems: Sequence[UsageError]) -> tuple[list[Facts], list[UsageError]]:
        """Exchange what each knows, duplicates included.

        Returns:
            The facts of all who came, by rank, and their problems.

        Raises:
            UsageError: some did not come.
        """
        size = self._facts.size
        self.store.set(
            f"seat {self._seat}",
            json.dumps([asdict(self._facts), [[str(arg) for arg in problem.args] for problem in problems]]),
        )
        try:
            self.store.wait([f"seat {seat}" for seat in range(1, size + 1)], PATIENCE)
        except DistError:
            taken = [seat for seat in range(1, size + 1) if self.store.check([f"seat {seat}"])]
            came = [json.loads(self.store.get(f"seat {seat}"))[0]["rank"] for seat in taken]
            missing = ", ".join(str(rank) for rank in range(size) if rank not in came)
            raise UsageError(
                "WORLD_SIZE", size, f"rank {missing} did not come within {PATIENCE.seconds} s: look at that node's log"
            ) from None
        told = [json.loads(self.store.get(f"seat {seat}")) for seat in range(1, size + 1)]
        told.sort(key=lambda entry: entry[0]["rank"])
        hosts: dict[tuple[str, str, str], list[str]] = {}
        for facts, problems_there in told:
            for field, given, remedy in problems_there:
                hosts.setdefault((field, given, remedy), []).append(facts["host"])
        found = [
            UsageError(field, given, remedy if len(there) == size else f"{remedy} (on {', '.join(sorted(set(there)))})")
            for (field, given, remedy), there in hosts.items()
        ]
        return [Facts(**facts) for facts, _ in told], found

    def part(self) -> None:
        """Let the first rank, who keeps the store, speak first and leave last: srun ends all after one."""
        if self._facts.rank == 0:
            self.store.set("told", "yes")
        else:
            self.store.wait(["told"], PATIENCE)
        self.store.set(f"left {self._seat}", "yes")
        if self._facts.rank == 0:
            self.store.wait([f"left {seat}" for seat in range(1, self._facts.size + 1)], PATIENCE)


def _store(facts: Facts) -> Store:
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # A launcher's agent keeps the store itself and says so.
    keeps = facts.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if keeps and not _free(port):
        raise UsageError(
            "MASTER_PORT",
            port,
            f"taken on {facts.host} by another program, or by a second rank 0: export MASTER_PORT=, a free one",
        )
    answer: Queue[Store | Exception] = Queue()

    def connect() -> None:
        try:
            answer.put(TCPStore(address, port, is_master=keeps, timeout=PATIENCE, wait_for_workers=False))
        except Exception as error:
            answer.put(error)

    # In a thread that may be left behind: TCPStore waits for ever where another program takes the call.
    Thread(target=connect, daemon=True).start()
    try:
        store = answer.get(timeout=PATIENCE.seconds + 1)
    except Empty:
        store = TimeoutError("whoever listens there does not answer")
    if isinstance(store, Exception):
        raise UsageError(
            "MASTER_ADDR",
            f"{address}:{port}",
            f"rank 0 was not reached from {facts.host} in {PATIENCE.seconds} s: does it run there, and does the "
            f"network let port {port} through ({first_line(store)})",
        )
    return store


def first_line(error: Exception) -> str:
    """What torch's errors begin with; pages of stack may follow."""
    return str(error).partition("\n")[0]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
