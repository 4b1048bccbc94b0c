"""Flags: how they may be written, and the messages for mistakes."""

from typing import Annotated

import pytest
from pydantic import Field

from alexnet_dist.compare.config import FLAGS as COMPARE
from alexnet_dist.compare.config import load_comparison
from alexnet_dist.config.flags import Flags, asks_for_help
from alexnet_dist.config.load import load
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import Group, Role
from alexnet_dist.errors import UsageError


class Own(Group):
    image: Annotated[list[str], Role.ARGUMENT] = Field([], description="pictures")
    ranks: list[int] = Field([2], min_length=1, description="ranks")
    max_restarts: int = Field(0, ge=0, description="restarts")
    mirror: list[str] | None = Field(None, description="addresses")
    dry_run: bool = Field(False, description="stop")
    checkpoint: str = Field(description="a run")


FLAGS = Flags(Own, Experiment)


def refusal(words: list[str]) -> str:
    with pytest.raises(UsageError) as caught:
        load(FLAGS.split(["--checkpoint", "x", *words])[1])
    return str(caught.value)


def test_own_flags_and_those_of_the_experiment_are_told_apart() -> None:
    own, rest = FLAGS.split(
        [
            "a.png", "--checkpoint=no", "--train.global-batch", "64", "--dry-run", "--ranks", "2,4", "b.png",
            "--max_restarts", "010", "--mirror", "http://a:1/x", "--net.exchange", "fc8", "--mirror", "http://b",
            "c.png",
        ]
    )  # fmt: skip
    assert own.image == ["a.png", "b.png", "c.png"] and own.checkpoint == "no"
    assert (own.dry_run, own.ranks, own.max_restarts) == (True, [2, 4], 10)
    assert own.mirror == ["http://a:1/x", "http://b"]
    assert rest == ["--train.global_batch=64", "--net.exchange=fc8"]
    experiment = load(rest)
    assert (experiment.train.global_batch, experiment.net.exchange) == (64, ["fc8"])
    assert experiment.train.model_fields_set == {"global_batch"}


@pytest.mark.parametrize("flag", ["--global_batches", "--global-batches", "--compare.global-batches"])
def test_dashes_and_underscores_are_the_same(flag: str) -> None:
    assert load_comparison([flag, "32,64"]).compare.global_batches == [32, 64]
    assert load_comparison([f"{flag}=[32]"]).compare.global_batches == [32]
    assert COMPARE.split(["--print_command"])[0].print_command and COMPARE.split(["--print-command"])[0].print_command


def test_the_later_of_two_wins_however_they_are_written() -> None:
    assert load(["--train.global-batch", "1", "--train.global_batch=2"]).train.global_batch == 2
    assert load(["--train.global_batch", "1", "--train.global-batch=2"]).train.global_batch == 2


@pytest.mark.parametrize(
    "words, values",
    [
        (["--net.exchange", "[fc8]"], ["fc8"]),
        (["--net.exchange", "conv3,fc8"], ["conv3", "fc8"]),
        (["--net.exchange", "[]"], []),
        (["--net.exchange", "null"], None),
    ],
)
def test_a_list_needs_no_brackets(words: list[str], values: list[str] | None) -> None:
    assert load(words).net.exchange == values


@pytest.mark.parametrize(
    "words, line",
    [
        (["--train.epocs", "2"], "train.epocs: 2: no such field: did you mean train.epochs?"),
        (["--train.epocs=2"], "train.epocs: 2: no such field: did you mean train.epochs?"),
        (["--trian.epochs", "2"], "trian.epochs: 2: no such field: did you mean train.epochs?"),
        (["--trian.epocs", "2"], "trian.epocs: 2: no such field: did you mean train.epochs?"),
        (["--optim.epochs", "2"], "optim.epochs: 2: no such field: did you mean train.epochs?"),
        (["--train.batch-size", "2"], "train.batch_size: 2: no such field: did you mean train.global_batch?"),
        (["--train.zzzz", "2"], "train.zzzz: 2: no such field; there are: global_batch, accumulate, "),
        (["--epochs", "2"], "--epochs: 2: unknown flag: did you mean --train.epochs?"),
        (["--net", "alexnet_2012"], "--net: alexnet_2012: unknown flag: did you mean --net.name?"),
        (["--group", "x"], "--group: x: unknown flag: did you mean --tracking.group?"),
        (["--max-restart", "2"], "--max-restart: 2: unknown flag: did you mean --max-restarts?"),
        (["--dryrun"], "--dryrun: empty: unknown flag: did you mean --dry-run?"),
        (["--xyz.q", "1"], "xyz.q: 1: no such group; there are: net, data, strategy, "),
        (["--", "1"], "--: 1: unknown flag; see --help"),
        (["--strategy.name", "splt"], "strategy.name: splt: did you mean split? Input should be 'auto', "),
        (["--net.activation", "rellu"], "net.activation: rellu: did you mean relu? Input should be 'relu' or 'tanh'"),
        (["--net.exchange", "fc9"], "net.exchange.0: fc9: did you mean fc8? Input should be "),
        (["--optim.lr="], "--optim.lr: empty: needs a value"),
        (["--train.epochs", " "], "--train.epochs: empty: needs a value"),
        (["--train.evaluate="], "--train.evaluate: empty: needs a value"),
        (["--data.normalise="], "--data.normalise: empty: needs a value"),
        (["--train.max_steps="], "--train.max_steps: empty: needs a value; null leaves it out"),
        (["--net.exchange="], "--net.exchange: empty: needs a value; null leaves it out"),
        (["--optim.milestones="], "--optim.milestones: empty: needs a value"),
        (["--net.activation="], "net.activation: empty: Input should be 'relu' or 'tanh'"),
        (["--run.name="], "run.name: empty: "),
        (["--optim.lr", "null"], "optim.lr: null (empty): Input should be a valid number"),
        (["--ranks="], "--ranks: empty: needs a value"),
        (["--ranks", "null"], "--ranks: null (empty): Input should be a valid list"),
        (
            ["--tracking.filters-every", "0"],
            "tracking.filters_every: 0: Input should be greater than or equal to 1; null ",
        ),
        (["--train.clip_norm", "none"], "train.clip_norm: none: Input should be a valid number; null leaves it out"),
        (["--train.precision", "zzz"], "train.precision: zzz: Input should be 'fp64', "),
        (["--train.epochs", "--run.seed", "1"], "--train.epochs: --run.seed: needs a value first"),
        (["--ranks", "x"], "--ranks: x: Input should be a valid integer"),
        (["--ranks", "[]"], "--ranks: []: List should have at least 1 item"),
        (["--max-restarts", "-1"], "--max-restarts: -1: Input should be greater than or equal to 0"),
        (["--dry-run=maybe"], "--dry-run: maybe: Input should be a valid boolean"),
        (["--run.dir", "\udcff"], "run.dir: \udcff: Input should be a name in UTF-8; "),  # a byte that is none
    ],
)
def test_a_slip_is_answered_with_what_was_meant(words: list[str], line: str) -> None:
    assert refusal(words).startswith(line)
    assert refusal(words).count("\n") == 0


def test_a_flag_that_is_needed_is_asked_for() -> None:
    assert refusal(["--optim.lr"]) == "--optim.lr: empty: needs a value"
    with pytest.raises(UsageError, match=r"--checkpoint: empty: is needed: a run"):
        FLAGS.split([])


@pytest.mark.parametrize(
    "word, remedy",
    [
        ("x", "a flag goes before a value; see --help"),
        ("configs/a.yaml", "did you mean --config configs/a.yaml?"),
        ("alexnet_2012", "did you mean --net.name alexnet_2012?"),
        ("weak", "did you mean --compare.scaling weak?"),
        ("bf16", "did you mean --train.precision bf16?"),  # compare sets strategy.gradient_dtype and .name itself
        ("ddp", "did you mean --compare.strategies ddp?"),
    ],
)
def test_a_value_without_its_flag_is_answered_with_the_flag(word: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        COMPARE.split([word])
    assert str(caught.value) == f"command line: {word}: {remedy}"


def test_a_field_that_the_command_sets_itself_is_not_suggested() -> None:
    for typed, meant in (("--strategy", "--compare.strategies"), ("--gradient_dtype", "")):
        with pytest.raises(UsageError) as caught:
            COMPARE.split([typed, "ddp"])
        assert str(caught.value).endswith(
            f"unknown flag: did you mean {meant}?" if meant else "unknown flag; see --help"
        )
    assert COMPARE.split(["--strategy.name", "ddp"])[1] == ["--strategy.name=ddp"]


def test_help_is_asked_for_in_front_of_the_program_of_others() -> None:
    assert asks_for_help(["--ranks", "2", "-h"]) and asks_for_help(["--help"])
    assert not asks_for_help(["--ranks", "2", "--", "x.py", "--help"])
