"""The nets: each entry states the convolutions, the fully connected layers and where the net differs from the rest.

Sources: CHM = computerhistory/AlexNet-Source-Code, experiment #145; P = Krizhevsky, Sutskever, Hinton, NIPS 2012;
OWT = Krizhevsky, "One weird trick", 2014.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from alexnet_dist import registry
from alexnet_dist.nets.table import (
    Activation,
    Conv,
    Dropout,
    Exchange,
    Flatten,
    Init,
    Layer,
    Linear,
    Norm,
    Pool,
    Table,
)

POOLED = (1, 2, 5)  # convolutions followed by a pool, in every AlexNet
NORMED = (1, 2)  # convolutions followed by a response norm, where the net has any


@dataclass(frozen=True)
class Options:
    """What a user may change about a net; `config.schema.NetConfig` describes the fields."""

    towers: int
    exchange: tuple[str, ...]
    norm: bool
    pool_overlap: bool
    activation: str
    dropout: float
    classes: int
    channels: int
    follows: str = "code"


@dataclass(frozen=True)
class Family:
    """One net, whatever its options.

    Attributes:
        name: in settings.
        size: input height and width.
        convs: (filters, kernel, stride, padding before, padding after) of conv1 to conv5.
        hidden: units of fc6 and fc7.
        inits: of conv1 to conv5, fc6, fc7, fc8.
        activation_last: the convolutions whose activation comes after norm and pool.
        dropout_first: dropout before fc6 and fc7 (torchvision) instead of after them.
        defaults: the options a user gets.
        follows: the sources that it can follow in order of layers and initial weights.
    """

    name: str
    size: int
    convs: tuple[tuple[int, int, int, int, int], ...]
    hidden: int
    inits: tuple[Init, ...]
    defaults: Options
    activation_last: Collection[int] = ()
    dropout_first: bool = False
    follows: tuple[str, ...] = ("code",)

    def table(self, options: Options) -> Table:
        """The layer table under the given options."""
        # With one tower every layer sees all maps, so ranks that share it must exchange before each.
        crossing = (
            set(options.exchange) if options.towers > 1 else {f"conv{i}" for i in range(2, 6)} | {"fc6", "fc7", "fc8"}
        )
        inits = _PAPER_INITS if options.follows == "paper" else self.inits
        layers = (*_convolutions(self, options, crossing, inits), *_classifier(self, options, crossing, inits))
        return Table(self.name, options.channels, self.size, options.towers, layers)


_TOWERS_OF_2012 = Options(
    towers=2,
    exchange=("conv3", "fc6", "fc7", "fc8"),
    norm=True,
    pool_overlap=True,
    activation="relu",
    dropout=0.5,
    classes=1000,
    channels=3,
)
_ONE_TOWER = replace(_TOWERS_OF_2012, towers=1, norm=False)


def _inits(stds: Sequence[float], biases: Sequence[float]) -> tuple[Init, ...]:
    return tuple(Init(std, bias) for std, bias in zip(stds, biases, strict=True))


_PAPER_INITS = _inits((0.01,) * 8, biases=(0, 1, 0, 1, 1, 1, 1, 0))

for _family in (
    # CHM layers-145.cfg. conv1 is unpadded, but its last window runs 3 pixels past the edge. Left out: the
    # second, same-map 5x5 norm after conv2 (not in P). fc8 is cut like the rest; CHM held it on GPU 0.
    Family(
        name="alexnet_2012",
        size=224,
        convs=((96, 11, 4, 0, 3), (256, 5, 1, 2, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 1), (256, 3, 1, 1, 1)),
        hidden=4096,
        inits=_inits((0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01), biases=(0, 1, 0, 1, 1, 1, 1, 0)),
        activation_last=(1, 5),
        defaults=_TOWERS_OF_2012,
        follows=("code", "paper"),
    ),
    # OWT as torchvision.models.alexnet has it.
    Family(
        name="alexnet_owt",
        size=224,
        convs=((64, 11, 4, 2, 2), (192, 5, 1, 2, 2), (384, 3, 1, 1, 1), (256, 3, 1, 1, 1), (256, 3, 1, 1, 1)),
        hidden=4096,
        inits=(Init(),) * 8,
        dropout_first=True,
        defaults=_ONE_TOWER,
    ),
    # The tutorials' net for 1 x 224 x 224 images and 10 classes.
    Family(
        name="alexnet_fashion",
        size=224,
        convs=((96, 11, 4, 1, 1), (256, 5, 1, 2, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 1), (256, 3, 1, 1, 1)),
        hidden=4096,
        inits=(Init(),) * 8,
        defaults=replace(_ONE_TOWER, classes=10, channels=1),
    ),
    # The net of 2012 for images of 96 x 96: its first layer unchanged, fewer filters and units after it. It learns
    # photographs in minutes on two cores.
    Family(
        name="alexnet_96",
        size=96,
        convs=((96, 11, 4, 0, 3), (96, 5, 1, 2, 2), (128, 3, 1, 1, 1), (128, 3, 1, 1, 1), (96, 3, 1, 1, 1)),
        hidden=256,
        # conv1 starts small, so that what it learns soon outweighs the initial noise; the rest about sqrt(2 / fan-in).
        inits=_inits((0.002, 0.058, 0.048, 0.059, 0.059, 0.072, 0.088, 0.01), biases=(0,) * 8),
        activation_last=(1, 5),
        defaults=_TOWERS_OF_2012,
    ),
    # The net of 2012 in miniature: every kind of layer and exchange, seconds a run on two cores.
    Family(
        name="alexnet_small",
        size=32,
        convs=((16, 5, 2, 2, 2), (32, 3, 1, 1, 1), (48, 3, 1, 1, 1), (48, 3, 1, 1, 1), (32, 3, 1, 1, 1)),
        hidden=64,
        # About sqrt(2 / fan-in), with which the net learns within a few dozen steps.
        inits=_inits((0.28, 0.17, 0.083, 0.096, 0.096, 0.25, 0.18, 0.18), biases=(0,) * 8),
        activation_last=(1, 5),
        defaults=replace(_TOWERS_OF_2012, classes=10, channels=1),
    ),
):
    registry.nets.register(_family)


def _convolutions(family: Family, options: Options, crossing: set[str], inits: Sequence[Init]) -> Iterator[Layer]:
    last = () if options.follows == "paper" else family.activation_last
    for i, (filters, kernel, stride, before, after) in enumerate(family.convs, start=1):
        activation = Activation(f"{options.activation}{i}", options.activation)
        if f"conv{i}" in crossing:
            yield Exchange(f"exchange_conv{i}")
        yield Conv(f"conv{i}", filters, kernel, stride, (before, after), inits[i - 1])
        if i not in last:
            yield activation
        if options.norm and i in NORMED:
            yield Norm(f"norm{i}")
        if i in POOLED:
            yield Pool(f"pool{i}", kernel=3 if options.pool_overlap else 2, stride=2)
        if i in last:
            yield activation


def _classifier(family: Family, options: Options, crossing: set[str], inits: Sequence[Init]) -> Iterator[Layer]:
    yield Flatten("flatten")
    for i, units in ((6, family.hidden), (7, family.hidden), (8, options.classes)):
        dropout = Dropout(f"dropout{i}", options.dropout)
        drops = options.dropout > 0 and i < 8
        if drops and family.dropout_first:
            yield dropout
        if f"fc{i}" in crossing:
            yield Exchange(f"exchange_fc{i}")
        yield Linear(f"fc{i}", units, inits[i - 1])
        if i < 8:
            yield Activation(f"{options.activation}{i}", options.activation)
        if drops and not family.dropout_first:
            yield dropout
    yield Exchange("exchange_logits", logits=True)
