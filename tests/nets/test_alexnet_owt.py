"""The one-tower net against torchvision's, with torchvision's weights and back."""

import torch
import torchvision
from torch.nn import functional

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.torchvision_names import from_torchvision, to_torchvision


def test_outputs_gradients_and_weights_both_ways() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet(weights=None).double().eval()
    ours = AlexNet(table_of(resolve(load(["--net.name", "alexnet_owt", "--data.name", "synthetic"]), 1).net)).double()
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    ours.eval()
    images, labels = torch.rand(3, 3, 224, 224, dtype=torch.float64), torch.tensor([0, 5, 999])

    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-12, atol=1e-12)
    functional.cross_entropy(ours(images), labels).backward()
    functional.cross_entropy(theirs(images), labels).backward()
    gradients = to_torchvision({name: p.grad for name, p in ours.named_parameters() if p.grad is not None})
    for name, parameter in theirs.named_parameters():
        assert parameter.grad is not None
        assert (gradients[name] - parameter.grad).norm() <= 1e-12 * parameter.grad.norm(), name

    back = torchvision.models.alexnet(weights=None).double()
    back.load_state_dict(to_torchvision(ours.state_dict()))
