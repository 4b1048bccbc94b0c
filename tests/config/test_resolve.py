"""What follows from the settings, and which have no effect."""

from dataclasses import replace

import pytest

from alexnet_dist import registry
from alexnet_dist.config.load import load, validate
from alexnet_dist.config.resolve import length_warnings, resolve, size_warnings, warnings


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
        "optim.momentum", "net.exchange", "data.root", "train.evaluate_samples",
    ]  # fmt: skip
    assert warnings(resolve(load([]), 1)) == []


def test_overwrite_without_a_directory_of_the_users_is_named() -> None:
    line = "run.overwrite has no effect without run.dir or run.name: the run gets a new directory"
    assert warnings(resolve(load(["--run.overwrite=true"]), 1)) == [line]
    for named in ("--run.dir=a", "--run.name=a"):
        assert warnings(resolve(load(["--run.overwrite=true", named]), 1)) == []


@pytest.mark.parametrize(
    "flags, found",
    [
        (["--checkpoint.keep=5", "--checkpoint.background=false"], []),
        (
            ["--checkpoint.every-steps=0", "--checkpoint.keep=5", "--checkpoint.background=false"],
            ["checkpoint.keep: 5 has no effect with checkpoint.every_steps 0",
             "checkpoint.background: False has no effect with checkpoint.every_steps 0"],
        ),
        (["--checkpoint.every-steps=0", "--checkpoint.every-seconds=60", "--checkpoint.keep=5"], []),
        (
            ["--checkpoint.every-steps=0", "--checkpoint.every-seconds=60", "--checkpoint.keep-every=20"],
            ["checkpoint.keep_every: by the clock, few checkpoints are at a multiple of 20: set every_steps"],
        ),
        (["--checkpoint.every-steps=10", "--checkpoint.keep-every=20"], []),
        (
            ["--checkpoint.every-steps=500", "--checkpoint.keep-every=300"],
            ["checkpoint.keep_every: 300 is no multiple of every_steps 500: every 1500 steps one is kept"],
        ),
    ],
)  # fmt: skip
def test_which_checkpoints_are_kept(flags: list[str], found: list[str]) -> None:
    assert warnings(resolve(load(flags), 1)) == found


@pytest.mark.parametrize(
    "flags, found",
    [
        ([], []),
        (["--train.max_steps=8"], []),
        (["--train.global_batch=1000"], []),
        (
            ["--train.global_batch=1024"],
            ["train.global_batch: 1024 is more than the 1000 training images: every step takes all of them and is an "
             "epoch, with an evaluation after each"],
        ),
        (
            ["--train.global_batch=1024", "--train.evaluate=false"],
            ["train.global_batch: 1024 is more than the 1000 training images: every step takes all of them and is an "
             "epoch"],
        ),
        (["--train.max_steps=9"], ["train.max_steps: 9 has no effect: train.epochs 1 ends the run after 8 steps"]),
        (["--train.evaluate_samples=100"], []),
        (["--train.evaluate_samples=101"], ["train.evaluate_samples: 101 has no effect: there are 100"]),
        (["--optim.warmup_steps=7"], []),
        (["--optim.warmup_steps=8"], ["optim.warmup_steps: 8 do not end within this run of 8 steps"]),
        (["--optim.warmup_steps=5", "--train.max_steps=6"], []),
        (
            ["--optim.warmup_steps=5", "--train.max_steps=5"],
            ["optim.warmup_steps: 5 do not end within this run of 5 steps"],
        ),
        (
            ["--optim.milestones=1,2", "--train.epochs=2"],
            ["optim.milestones: [2] have no effect: the run ends first"],
        ),
        (
            ["--optim.milestones=1", "--train.epochs=2", "--train.max_steps=8"],
            ["optim.milestones: [1] have no effect: the run ends first"],
        ),
        (["--optim.lr_divisor=3.0"], ["optim.lr_divisor: 3.0 has no effect without optim.milestones"]),
    ],
)  # fmt: skip
def test_what_the_number_of_images_leaves_without_effect(flags: list[str], found: list[str]) -> None:
    assert length_warnings(resolve(load(flags), 1), train_samples=1000, test_samples=100) == found


@pytest.mark.parametrize(
    "flags, fields",
    [
        (["--data.augment=alexnet", "--data.crop=24", "--train.evaluate_views=10"], []),
        (["--data.augment=alexnet", "--data.crop_padding=2"], []),
        (["--data.augment=inception"], []),
        (["--data.augment=alexnet"], ["data.crop: null"]),
        (["--data.augment=alexnet", "--data.crop=28"], ["data.crop: 28"]),
        (["--data.crop=28", "--train.evaluate_views=10"], ["train.evaluate_views: 10"]),
        (["--data.crop=28", "--train.evaluate_views=10", "--train.evaluate=false"], []),
    ],
)
def test_what_the_size_of_images_leaves_without_effect(flags: list[str], fields: list[str]) -> None:
    experiment = resolve(load(flags), 1)
    assert [" ".join(line.split()[:2]) for line in size_warnings(experiment, 28, 28)] == fields
    assert size_warnings(experiment, 28, 30) == []


OTHERS = replace(
    registry.nets["alexnet_small"].defaults, pool_overlap=False, activation="tanh", dropout=0.2, follows="paper"
)


def test_a_nets_own_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(registry.nets["alexnet_small"], name="other", defaults=OTHERS, follows=("paper",))
    monkeypatch.setitem(registry.nets._entries, "other", other)
    net = resolve(load(["--net.name", "other"]), 1).net
    assert (net.pool_overlap, net.activation, net.dropout, net.follows) == (False, "tanh", 0.2, "paper")
    flags = ["--net.pool_overlap", "true", "--net.activation", "relu", "--net.dropout", "0"]
    net = resolve(load(["--net.name", "other", *flags]), 1).net
    assert (net.pool_overlap, net.activation, net.dropout) == (True, "relu", 0.0)


def test_the_settings_of_a_run_from_before_a_net_had_defaults_are_the_same() -> None:
    """Those of today's `alexnet_2012`, as `config.yaml` had them when every net's dropout, … was the schema's."""
    before = {
        "name": "alexnet_2012", "towers": 2, "exchange": ["conv3", "fc6", "fc7", "fc8"], "norm": True,
        "pool_overlap": True, "activation": "relu", "dropout": 0.5, "classes": 1000, "channels": 3, "follows": "code",
    }  # fmt: skip
    flags = ["--net.name", "alexnet_2012", "--data.name", "synthetic"]
    assert resolve(validate({"net": before, "data": {"name": "synthetic"}}), 1).net == resolve(load(flags), 1).net
