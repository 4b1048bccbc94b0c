"""The layer table of a net by name, for programs that have no experiment."""

from typing import Any

from alexnet_dist.config.load import validate
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.nets.table import Table


def layer_table(name: str, **settings: Any) -> Table:
    """What a net consists of: its layers with their shapes, parameters, multiply-adds and exchanges between towers.

    Args:
        name: of the net, such as "alexnet_2012".
        settings: fields of the group `net` of an experiment, such as `towers=2`, `classes=10`, `exchange=["fc8"]`; the
            others take the net's own values.

    Raises:
        UsageError: there is no such net or setting, or the settings contradict each other.
    """
    # The synthetic images take any number of classes and channels.
    experiment = validate({"net": {"name": name, **settings}, "data": {"name": "synthetic"}})
    return table_of(resolve(experiment, 1).net)
