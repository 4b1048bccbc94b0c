"""Bytes that collectives send per rank, with S bytes in the full buffer and N ranks.

An all-reduce sends 2(N-1)/N S; a gather, scatter, all-to-all, broadcast or reduce (N-1)/N S: what a ring or a direct
exchange moves.
"""

from alexnet_dist.nets.table import Table


def sent_once(full_bytes: int, ranks: int) -> int:
    """Bytes that a rank sends in a gather, scatter, all-to-all, broadcast or reduce of a buffer."""
    return full_bytes * (ranks - 1) // ranks


def sent_by_all_reduce(full_bytes: int, ranks: int) -> int:
    return 2 * full_bytes * (ranks - 1) // ranks


def exchanged(table: Table, ranks: int, samples: int, itemsize: int, backend: str) -> dict[str, int]:
    """Bytes that a rank sends in a step's exchanges between the ranks of one replica, by collective.

    Args:
        ranks: that share the replica.
        samples: of the replica in the step.
        itemsize: bytes of a value on the wire.
        backend: on gloo, an all-to-all and a sum replace the reduce-scatter, which gloo implements as an all-reduce.
    """
    share = (ranks - 1) * samples * itemsize
    exchanges = [(exchange, values // ranks) for exchange, values in table.exchanges()]
    backward = "all_to_all" if backend == "gloo" else "reduce_scatter"
    return {
        "all_gather": share * sum(values for _, values in exchanges),
        # The exchange before the loss sends nothing in backward: every rank computes the loss in full.
        backward: share * sum(values for exchange, values in exchanges if not exchange.logits),
    }


def added(*parts: dict[str, int]) -> dict[str, int]:
    """Bytes by collective, summed; collectives that send nothing are left out."""
    names = dict.fromkeys(name for part in parts for name in part)
    sums = {name: sum(part.get(name, 0) for part in parts) for name in names}
    return {name: size for name, size in sums.items() if size}
