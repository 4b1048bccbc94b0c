"""What strategies expect to send, against the published figures; the counter's side is in the parity tests."""

import pytest

from alexnet_dist import registry
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.costs.collectives import added, exchanged, sent_by_all_reduce, sent_once


def sent(strategy: str, ranks: int, samples: int, *flags: str, backend: str = "gloo") -> dict[str, int]:
    """Bytes by collective of a step of the net of 2012, `samples` of them on this rank."""
    words = ["--net.name", "alexnet_2012", "--data.name", "synthetic", "--strategy.name", strategy, *flags]
    experiment = resolve(load(words), ranks)
    table = table_of(experiment.net)
    found: dict[str, int] = registry.strategies[strategy].traffic(experiment, table, ranks, samples, backend)
    return found


@pytest.mark.parametrize("samples", [1, 128])
def test_the_split_of_2012_moves_61_172_values_an_image_whatever_the_batch(samples: int) -> None:
    forward, backward = samples * 30_836 * 4, samples * 30_336 * 4
    assert sent("split", 2, samples) == {"all_gather": forward, "all_to_all": backward}
    assert sent("split", 2, samples, backend="nccl") == {"all_gather": forward, "reduce_scatter": backward}
    half = sent("split", 2, samples, "--train.precision", "bf16")
    assert half == {"all_gather": forward // 2, "all_to_all": backward // 2}


def test_data_parallelism_moves_every_gradient_whatever_the_batch() -> None:
    for samples in (1, 128):
        assert sent("ddp", 2, samples) == {"all_reduce": 243_860_896}
    assert sent("ddp", 2, 1, "--strategy.gradient_dtype", "bf16") == {"all_reduce": 121_930_448}


def test_both_are_equal_at_a_global_batch_of_about_997() -> None:
    split = sum(sent("split", 2, 1).values())
    assert round(sum(sent("ddp", 2, 1).values()) / split) == 997


def test_pairs_of_towers_move_half_the_gradients() -> None:
    assert sent("split", 4, 1)["all_reduce"] == sent("ddp", 2, 1)["all_reduce"] // 2
    assert sent("split", 2, 1, "--strategy.communicate", "false") == {} == sent("single", 1, 1)


def test_sharded_strategies_move_weights_too() -> None:
    """In N/2(N-1) of what data parallelism moves: 1 where only gradients and weights travel once, 3/2 with two gathers
    of the weights; padding and the norm are a millionth."""
    once = sent("ddp", 4, 1)["all_reduce"]
    for name, share in {"zero1": 1, "zero2": 1, "zero3": 1.5, "fsdp": 1.5}.items():
        assert sum(sent(name, 4, 1).values()) == pytest.approx(share * once, rel=1e-3)
    assert sum(sent("zero2", 4, 1, "--train.accumulate", "3").values()) == pytest.approx(2 * once, rel=1e-3)
    for name in ("zero3", "fsdp"):
        kept = sent(name, 4, 1, "--strategy.reshard_after_forward", "false")
        assert sum(kept.values()) == pytest.approx(once, rel=1e-3)


def test_many_ranks_sum_all_gradients_together() -> None:
    for name in ("zero1", "zero2"):
        assert set(sent(name, 32, 1)) == {"reduce", "all_gather", "all_reduce"}
        many = sent(name, 33, 1)
        assert set(many) == {"all_gather", "all_reduce"}
        assert sum(many.values()) == pytest.approx(1.5 * sent("ddp", 33, 1)["all_reduce"], rel=1e-3)


def test_bytes_of_one_collective() -> None:
    assert (sent_once(300, 3), sent_by_all_reduce(300, 3), sent_by_all_reduce(300, 1)) == (200, 400, 0)
    assert added({"a": 1, "b": 0}, {"a": 2}) == {"a": 3}
    table = table_of(resolve(load(["--net.name", "alexnet_small"]), 1).net)
    assert set(exchanged(table, 1, 8, 4, "gloo").values()) == {0}
