"""ImageNet's recipes: every number against its source."""

import pytest
from conftest import ROOT

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.nets.table import Conv, Dropout, Exchange, Linear, Norm, Pool
from alexnet_dist.training.optimizers import BIASES, WEIGHTS
from alexnet_dist.training.schedules import Position, learning_rates

IMAGES = 1_281_167  # ILSVRC-2012's training set


def recipe(name: str, *flags: str) -> Experiment:
    return resolve(load(["--config", str(ROOT / f"configs/{name}.yaml"), *flags]), 1)


def rates(experiment: Experiment, epoch: float) -> dict[str, float]:
    steps = -(-IMAGES // experiment.train.global_batch)
    return learning_rates(experiment.optim, Position(int(epoch * steps), steps, steps * experiment.train.epochs))


def test_the_training_of_2012() -> None:
    """Experiment #145 of the original code, layers-145.cfg and layer-params-145.cfg; NIPS 2012, sections 4 and 5."""
    found = recipe("imagenet_2012")
    assert (found.optim.name, found.optim.momentum, found.optim.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (found.train.global_batch, found.train.epochs, found.train.evaluate_views) == (128, 90, 10)
    for epoch, rate in ((0, 1e-2), (24.9, 1e-2), (25, 1e-3), (50.9, 1e-3), (51, 1e-4), (79, 1e-5), (89.9, 1e-5)):
        assert rates(found, epoch) == pytest.approx({WEIGHTS: rate, BIASES: 0.02})
    data = found.data
    assert (data.name, data.augment, data.crop, data.normalise) == ("imagenet", "alexnet", 224, "mean_image")
    assert data.colour_noise == 0.1


def test_the_net_of_2012() -> None:
    table = table_of(recipe("imagenet_2012").net)
    layers = {layer.name: layer for layer in table.layers}
    convolutions = [layer for layer in table.layers if isinstance(layer, Conv)]
    linear = [layer for layer in table.layers if isinstance(layer, Linear)]
    assert [layer.filters for layer in convolutions] == [96, 256, 384, 384, 256]
    assert [layer.kernel for layer in convolutions] == [11, 5, 3, 3, 3] and convolutions[0].stride == 4
    assert [layer.units for layer in linear] == [4096, 4096, 1000]
    inits = [*(layer.init for layer in convolutions), *(layer.init for layer in linear)]
    assert [init.std for init in inits] == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]
    assert [init.bias for init in inits] == [0, 1, 0, 1, 1, 1, 1, 0]
    norms = [layer for layer in table.layers if isinstance(layer, Norm)]
    assert [(norm.size, norm.alpha, norm.beta, norm.k) for norm in norms] == [(5, 1e-4, 0.75, 2.0)] * 2
    assert [(p.kernel, p.stride) for p in table.layers if isinstance(p, Pool)] == [(3, 2)] * 3
    assert [layer.rate for layer in table.layers if isinstance(layer, Dropout)] == [0.5, 0.5]
    names = list(layers)
    assert names.index("norm1") < names.index("pool1") and table.parameters == 60_965_224
    assert sum(isinstance(layer, Exchange) and not layer.logits for layer in table.layers) == 4


def test_the_one_tower_net() -> None:
    """torchvision's reference training of its AlexNet."""
    found = recipe("imagenet_owt")
    assert (found.optim.name, found.optim.momentum, found.optim.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (found.train.global_batch, found.train.epochs) == (256, 90)
    assert [rates(found, epoch)[WEIGHTS] for epoch in (0, 30, 60)] == pytest.approx([1e-2, 1e-3, 1e-4])
    assert table_of(found.net).parameters == 61_100_840


def test_the_large_batch() -> None:
    """You, Gitman and Ginsburg 2017: the rate grows with the batch, after a warm-up it falls with the square."""
    found = recipe("imagenet_large_batch")
    peak = 0.01 * found.train.global_batch / 128
    assert found.optim.name == "lars" and found.optim.lr == pytest.approx(peak)
    assert rates(found, 0)[WEIGHTS] == pytest.approx(peak / found.optim.warmup_steps)
    assert rates(found, 5)[WEIGHTS] == pytest.approx(peak)
    assert rates(found, 47.5)[WEIGHTS] == pytest.approx(peak / 4, rel=0.01)


def test_the_hour_of_photographs() -> None:
    """The first layer is that of 2012, and only the noise of its augmentation differs."""
    small, whole = recipe("photographs"), recipe("imagenet_2012")
    first, firsts = (table_of(each.net).layers[0] for each in (small, whole))
    assert isinstance(first, Conv) and isinstance(firsts, Conv)
    assert (first.filters, first.kernel, first.stride) == (firsts.filters, firsts.kernel, firsts.stride)
    assert table_of(small.net).towers == 2 and small.data.augment == whole.data.augment
    assert small.data.crop == table_of(small.net).size
