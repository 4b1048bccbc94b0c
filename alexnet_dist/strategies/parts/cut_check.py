"""Which nets can be cut into equal parts."""

from dataclasses import replace

from alexnet_dist.errors import UsageError, alternatives
from alexnet_dist.nets.table import Exchange, Norm, Table


def check_cut(table: Table, ranks: int) -> None:
    """Refuse a net that ranks cannot share.

    Raises:
        UsageError: the net's layers cannot be shared equally by that many ranks.
    """
    if ranks == 1:
        return
    if table.towers > 1 and table.towers % ranks:
        allowed = [number for number in range(1, table.towers + 1) if table.towers % number == 0]
        remedy = f"{ranks} ranks cannot share that many towers equally: {alternatives(allowed)} can"
        raise UsageError("net.towers", table.towers, remedy)
    if table.towers == 1 and any(isinstance(layer, Norm) for layer in table.layers):
        raise UsageError(
            "net.norm",
            "true",
            "with one tower the norm's window would reach over the cut between two "
            f"ranks: set net.towers {ranks} or net.norm false",
        )
    for shaped in table.shaped_layers:
        if shaped.weight and shaped.outputs[0] % ranks:
            field = "net.classes" if shaped.layer.name == "fc8" else shaped.layer.name
            raise UsageError(field, shaped.outputs[0], f"that many outputs cannot be cut into {ranks} equal parts")
    _check_exchanges(table, ranks)


def _check_exchanges(table: Table, ranks: int) -> None:
    """Refuse a net whose ranks would lack maps of other towers.

    Raises:
        UsageError: a layer that sees the maps of every tower has no exchange before it, or the loss has none.
    """
    last = table.layers[-1]
    if not (isinstance(last, Exchange) and last.logits):
        raise UsageError("net.name", table.name, "cannot be cut: its table must end in Exchange(NAME, logits=True)")
    if table.towers > 1:
        return
    for shaped in replace(table, towers=ranks).shaped_layers:
        if shaped.weight and shaped.groups > 1:
            name = shaped.layer.name
            remedy = f"cannot be cut into {ranks}: {name} sees every map, so its table needs an Exchange before {name}"
            raise UsageError("net.name", table.name, remedy)
