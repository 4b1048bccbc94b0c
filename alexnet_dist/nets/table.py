"""Layer tables: a net described once.

The module, its parameter count, its operations and what crosses between towers are derived from the table. An
`Exchange` is where towers see each other: the layer after it sees the maps of every tower, while any other layer sees
only those of its own tower (a grouped convolution). On one device, which holds every map, an exchange does nothing.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod

from alexnet_dist.errors import UsageError, one_of

ACTIVATIONS = ("relu", "tanh")


@dataclass(frozen=True)
class Init:
    """How a layer's parameters start.

    Attributes:
        std: standard deviation of the normal weights; None draws weights and biases from
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)), which is what `torch.nn.Conv2d` and `torch.nn.Linear` do.
        bias: the constant biases start at (used only with `std`).
    """

    std: float | None = None
    bias: float = 0.0


@dataclass(frozen=True)
class Conv:
    """A square convolution. `padding` is (before, after), the same in both dims."""

    name: str
    filters: int
    kernel: int
    stride: int
    padding: tuple[int, int]
    init: Init


@dataclass(frozen=True)
class Linear:
    """A fully connected layer of `units` outputs."""

    name: str
    units: int
    init: Init


@dataclass(frozen=True)
class Norm:
    """Local response normalisation across the channels of one tower (NIPS 2012, section 3.3).

    `size` is odd: the window has the channel itself in its middle.
    """

    name: str
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise UsageError(f"size of {self.name}", self.size, "must be odd: the window has its channel in the middle")


@dataclass(frozen=True)
class Pool:
    """Max pooling."""

    name: str
    kernel: int
    stride: int


@dataclass(frozen=True)
class Activation:
    """`function` is one of `ACTIVATIONS`."""

    name: str
    function: str

    def __post_init__(self) -> None:
        if self.function not in ACTIVATIONS:
            raise UsageError(f"function of {self.name}", self.function, one_of(self.function, ACTIVATIONS))


@dataclass(frozen=True)
class Flatten:
    name: str


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout: a unit is zeroed with probability `rate`, the others divided by 1 - rate."""

    name: str
    rate: float


@dataclass(frozen=True)
class Exchange:
    """The next layer sees the maps of all towers. `logits` marks the last exchange, before the loss."""

    name: str
    logits: bool = False


Layer = Conv | Linear | Norm | Pool | Activation | Flatten | Dropout | Exchange
Shape = tuple[int, ...]


@dataclass(frozen=True)
class ShapedLayer:
    """A layer with its shapes: per image, without the batch dim, over all towers."""

    layer: Layer
    inputs: Shape
    outputs: Shape
    groups: int

    @property
    def weight(self) -> Shape:
        """Shape of the weight on one device; the empty tuple where there is none."""
        match self.layer:
            case Conv(filters=filters, kernel=kernel):
                return (filters, self.inputs[0] // self.groups, kernel, kernel)
            case Linear(units=units):
                return (units, self.inputs[0] // self.groups)
        return ()

    @property
    def multiply_adds(self) -> int:
        """Of one image's forward pass; biases, norms and pools are not counted."""
        return prod(self.weight) * prod(self.outputs[1:]) if self.weight else 0


@dataclass(frozen=True)
class Table:
    """A whole net.

    Attributes:
        name: the net's name in configs.
        channels: input channels.
        size: input height and width in pixels.
        towers: how many towers the layers without an exchange before them are cut into.
        layers: in forward order; the first one sees the image.
    """

    name: str
    channels: int
    size: int
    towers: int
    layers: tuple[Layer, ...]

    @cached_property
    def shaped_layers(self) -> tuple[ShapedLayer, ...]:
        """Every layer with its shapes and groups."""
        shape: Shape = (self.channels, self.size, self.size)
        sees_all = True  # every tower sees the image
        shaped = []
        for layer in self.layers:
            groups = 1 if sees_all else self.towers
            outputs = _outputs(layer, shape)
            shaped.append(ShapedLayer(layer, shape, outputs, groups))
            if isinstance(layer, Conv | Linear):
                sees_all = False
            elif isinstance(layer, Exchange):
                sees_all = True
            shape = outputs
        return tuple(shaped)

    @cached_property
    def parameters(self) -> int:
        """Weights and biases of the whole net."""
        return sum(prod(shaped.weight) + shaped.weight[0] for shaped in self.shaped_layers if shaped.weight)

    @cached_property
    def multiply_adds(self) -> int:
        """Of one image's forward pass."""
        return sum(shaped.multiply_adds for shaped in self.shaped_layers)

    @property
    def classes(self) -> int:
        return self.shaped_layers[-1].outputs[0]

    def exchanges(self) -> list[tuple[Exchange, int]]:
        """Every exchange, with the number of values that all towers together put into it for one image."""
        return [(s.layer, prod(s.inputs)) for s in self.shaped_layers if isinstance(s.layer, Exchange)]


def _outputs(layer: Layer, inputs: Shape) -> Shape:
    match layer:
        case Conv(filters=filters, kernel=kernel, stride=stride, padding=padding):
            return (filters, *(_windows(n + sum(padding), kernel, stride) for n in inputs[1:]))
        case Pool(kernel=kernel, stride=stride):
            return (inputs[0], *(_windows(n, kernel, stride) for n in inputs[1:]))
        case Linear(units=units):
            return (units,)
        case Flatten():
            return (prod(inputs),)
    return inputs


def _windows(length: int, kernel: int, stride: int) -> int:
    return (length - kernel) // stride + 1
