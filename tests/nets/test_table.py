"""Layer tables against the published figures, and against the modules built from them."""

import pytest

from alexnet_dist import registry
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import Conv, Table


def table(name: str, *flags: str) -> Table:
    return table_of(resolve(load(["--net.name", name, "--data.name", "synthetic", *flags]), 1).net)


def test_the_net_of_2012_has_the_published_figures() -> None:
    net = table("alexnet_2012")
    assert net.parameters == 60_965_224
    convolutions = AlexNet(net)
    assert sum(p.numel() for n, p in convolutions.named_parameters() if n.startswith("conv")) == 2_334_080
    # Per image and rank, each direction (alexnet-2012, "what crosses"): and the logits, forward only.
    assert [values // 2 for _, values in net.exchanges()] == [21_632, 4_608, 2_048, 2_048, 500]
    # NIPS 2012, section 3.5: the neurons of the layers behind the input.
    sizes = [shaped.outputs for shaped in net.shaped_layers if shaped.weight]
    assert sizes[:5] == [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13)]


def test_ungrouped_the_net_of_2012_has_its_published_figure() -> None:
    assert table("alexnet_2012", "--net.towers", "1").parameters == 62_378_344


def test_the_net_of_2014_has_torchvisions_figure() -> None:
    assert table("alexnet_owt").parameters == 61_100_840


@pytest.mark.parametrize("name", registry.nets.names())
@pytest.mark.parametrize("towers", [1, 2, 4])
def test_the_module_has_the_shapes_of_the_table(name: str, towers: int) -> None:
    classes = ["--net.classes", "12"]
    net = table(name, "--net.towers", str(towers), *classes)
    module = AlexNet(net)
    assert sum(p.numel() for p in module.parameters()) == net.parameters
    for shaped in net.shaped_layers:
        if shaped.weight:
            assert module.get_parameter(f"{shaped.layer.name}.weight").shape == shaped.weight


def test_an_ablation_is_a_configuration() -> None:
    """CHM #147, #148 and #150: no overlap in pooling, no norms, columns that do not exchange anything before fc8."""
    whole = table("alexnet_2012")
    no_overlap = table("alexnet_2012", "--net.pool_overlap", "false")
    no_norm = table("alexnet_2012", "--net.norm", "false")
    columns = table("alexnet_2012", "--net.exchange", "[fc8]")
    assert no_overlap.parameters == no_norm.parameters == whole.parameters
    assert len(no_norm.layers) == len(whole.layers) - 2
    assert [exchange.name for exchange, _ in columns.exchanges()] == ["exchange_fc8", "exchange_logits"]
    assert columns.parameters < whole.parameters


def test_the_paper_and_the_code_differ_in_order_and_initial_weights() -> None:
    code, paper = table("alexnet_2012"), table("alexnet_2012", "--net.follows", "paper")
    order = [layer.name for layer in code.layers[:5]]
    assert order == ["conv1", "norm1", "pool1", "relu1", "conv2"]
    assert [layer.name for layer in paper.layers[:5]] == ["conv1", "relu1", "norm1", "pool1", "conv2"]
    assert {layer.init.std for layer in paper.layers if isinstance(layer, Conv)} == {0.01}
