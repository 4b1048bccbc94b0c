"""What follows from the settings, and which have no effect."""

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, warnings


def test_resolving_twice_changes_nothing() -> None:
    once = resolve(load(["--net.name", "alexnet_2012"]), 2)
    assert resolve(once, 2) == once


def test_settings_without_effect_are_named() -> None:
    flags = {
        "--optim.momentum": "0.5", "--optim.lr_divisor": "3.0", "--net.exchange": "[fc8]",
        "--data.name": "synthetic", "--data.root": "/x",
        "--train.evaluate": "false", "--train.evaluate_samples": "5",
    }  # fmt: skip
    given = load([word for flag in flags.items() for word in flag])
    assert [line.split(":")[0].split(" ")[0] for line in warnings(resolve(given, 1))] == [
        "optim.momentum", "optim.lr_divisor", "net.exchange", "data.root", "train.evaluate_samples",
    ]  # fmt: skip
    late = load(["--optim.milestones", "[1, 2]", "--train.epochs", "2"])
    assert warnings(resolve(late, 1)) == ["optim.milestones: [2] lie behind the last epoch and have no effect"]
    assert warnings(resolve(load([]), 1)) == []
