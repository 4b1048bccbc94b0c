"""A net from outside the package: one convolution and two fully connected layers, in any number of towers."""

from alexnet_dist.nets.catalogue import Options
from alexnet_dist.nets.table import Activation, Conv, Dropout, Exchange, Flatten, Init, Linear, Pool, Table
from alexnet_dist.registry import nets


class ToyNet:
    name = "toy_net"
    follows = ("code",)
    defaults = Options(
        towers=1, exchange=(), norm=False, pool_overlap=True, activation="relu", dropout=0.5, classes=10, channels=1
    )

    def table(self, options: Options) -> Table:
        layers = (
            Conv("conv1", filters=8, kernel=5, stride=2, padding=(2, 2), init=Init()),
            Activation("act1", options.activation),
            Pool("pool1", kernel=2, stride=2),
            Flatten("flatten"),
            Exchange("exchange_fc2"),
            Linear("fc2", units=32, init=Init()),
            Activation("act2", options.activation),
            Dropout("dropout2", options.dropout),
            Exchange("exchange_fc3"),
            Linear("fc3", units=options.classes, init=Init()),
            Exchange("exchange_logits", logits=True),
        )
        return Table(self.name, options.channels, size=32, towers=options.towers, layers=layers)


nets.register(ToyNet())
