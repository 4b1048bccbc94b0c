"""Where the ranks first meet: a key-value store at MASTER_ADDR:MASTER_PORT. Every wait has an end."""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from torch.distributed import DistError, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from alexnet_dist.doctor.facts import Facts
from alexnet_dist.errors import Refusal

# Ranks of one job start within seconds of each other; some nodes read Python from a slow disk.
PATIENCE = timedelta(seconds=25)


class Meeting:
    """Everyone's facts and problems, by everyone.

    Args:
        facts: this rank's.

    Raises:
        Refusal: the place cannot be taken or reached.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.store = PrefixStore("doctor", _store(facts))

    def gather(self, problems: Sequence[Refusal]) -> tuple[list[Facts], list[Refusal]]:
        """Exchange what each knows, duplicates included.

        Returns:
            The facts of all who came, by rank, and their problems.

        Raises:
            Refusal: some did not come.
        """
        size = self._facts.size
        seat = self.store.add("seats", 1)
        self.store.set(
            f"seat {seat}",
            json.dumps([asdict(self._facts), [[str(arg) for arg in problem.args] for problem in problems]]),
        )
        try:
            self.store.wait([f"seat {number}" for number in range(1, size + 1)], PATIENCE)
        except DistError:
            came = {Facts(**json.loads(self.store.get(f"seat {n}"))[0]).rank for n in range(1, self._seats() + 1)}
            missing = ", ".join(str(rank) for rank in range(size) if rank not in came)
            raise Refusal(
                "WORLD_SIZE", size, f"rank {missing} did not come within {PATIENCE.seconds} s: look at that node's log"
            ) from None
        told = [json.loads(self.store.get(f"seat {number}")) for number in range(1, size + 1)]
        told.sort(key=lambda entry: entry[0]["rank"])
        hosts: dict[tuple[str, str, str], list[str]] = {}
        for facts, problems_there in told:
            for field, given, remedy in problems_there:
                hosts.setdefault((field, given, remedy), []).append(facts["host"])
        found = [
            Refusal(field, given, remedy if len(there) == size else f"{remedy} (on {', '.join(sorted(set(there)))})")
            for (field, given, remedy), there in hosts.items()
        ]
        return [Facts(**facts) for facts, _ in told], found

    def _seats(self) -> int:
        return self.store.add("seats", 0)

    def part(self) -> None:
        """Let the first rank, who keeps the store, speak first and leave last."""
        if self._facts.rank == 0:
            self.store.set("told", "yes")
            leaving = [f"left {rank}" for rank in range(1, self._facts.size)]
            if leaving:
                self.store.wait(leaving, PATIENCE)
        else:
            self.store.wait(["told"], PATIENCE)
            self.store.set(f"left {self._facts.rank}", "yes")


def _store(facts: Facts) -> Store:
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # A launcher's agent keeps the store itself and says so.
    keeps = facts.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    taken = keeps and not _free(port)
    try:
        # Where the port is taken, perhaps by another rank 0: join it, and be found out as its double.
        patience = timedelta(seconds=3) if taken else PATIENCE
        return TCPStore(address, port, is_master=keeps and not taken, timeout=patience, wait_for_workers=False)
    except (DistError, RuntimeError) as error:
        host = facts.host
        if taken:
            raise Refusal(
                "MASTER_PORT", port, f"another program listens there on {host}: export MASTER_PORT=, a free one"
            ) from None
        reason = str(error).split("\n")[0]
        raise Refusal(
            "MASTER_ADDR",
            f"{address}:{port}",
            f"not reached from {host} in {PATIENCE.seconds} s: is rank 0 running there, and does the network let port "
            f"{port} through ({reason})",
        ) from None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
