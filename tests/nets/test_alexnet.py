"""The one-device module: initial weights, dropout with and without masks, tensors without values, other forms."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.nets.alexnet import AlexNet, create_net
from alexnet_dist.nets.onnx import export_onnx


def net(name: str, *flags: str) -> AlexNet:
    table = table_of(resolve(load(["--net.name", name, "--data.name", "synthetic", *flags]), 1).net)
    return create_net(table, seed=1)


def images_for(module: AlexNet, count: int) -> Tensor:
    table = module.table
    return torch.rand(count, table.channels, table.size, table.size)


def test_initial_weights_are_the_seeds() -> None:
    table = net("alexnet_small").table
    one, same, other = (create_net(table, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


def test_without_masks_dropout_draws_its_own_in_training_alone() -> None:
    module, dropped = net("alexnet_small", "--net.dropout", "0.25"), list[Tensor]()
    module.get_submodule("fc7").register_forward_pre_hook(lambda _, given: dropped.append(given[0]))
    images, bias = images_for(module, 256), module.get_parameter("fc8.bias")

    def logits(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return module(images)

    assert torch.equal(logits(0), logits(0)) and not torch.equal(logits(0), logits(1))
    whole = module.eval()(images)
    assert torch.equal(whole, logits(0))
    trained, evaluated = dropped[0], dropped[-1]
    kept = trained != 0
    torch.testing.assert_close(trained[kept], evaluated[kept] / 0.75)
    alive = evaluated > 0
    assert (~kept & alive).sum() / alive.sum() == pytest.approx(0.25, abs=0.02)
    # A mask that is given counts in either mode.
    masks = {name: torch.zeros(256, 64) for name in ("dropout6", "dropout7")}
    for mode in (True, False):
        assert torch.equal(module.train(mode)(images, masks), bias.expand(256, -1))


def test_fake_tensors_give_shapes_and_gradients() -> None:
    with FakeTensorMode():
        module = net("alexnet_2012")
        logits = module(torch.empty(2, 3, 224, 224))
        logits.sum().backward()
    assert logits.shape == (2, 1000)
    assert all(p.grad is not None and p.grad.shape == p.shape for p in module.parameters())


def test_torch_export_of_the_net_of_2012() -> None:
    module = net("alexnet_2012").eval()
    images = images_for(module, 2)
    program = torch.export.export(module, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    images = images_for(module, 3)
    torch.testing.assert_close(program.module()(images), module(images))


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["alexnet_2012"], id="alexnet_2012"),
        # Four towers that never meet: fully connected layers in blocks, norms within a quarter of the maps.
        pytest.param(
            ["alexnet_small", "--net.towers", "4", "--net.exchange", "[fc8]", "--net.classes", "8"], id="four"
        ),
    ],
)
def test_onnx_computes_the_same_for_any_batch(tmp_path: Path, flags: list[str]) -> None:
    module = net(*flags)
    export_onnx(module, tmp_path / "net.onnx")
    assert module.training
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    for batch in (1, 3):
        images = images_for(module, batch)
        (theirs,) = session.run(["logits"], {"images": images.numpy()})
        ours = module.eval()(images).detach().numpy()
        assert np.abs(ours - theirs).max() < 1e-5 * np.abs(ours).max()
