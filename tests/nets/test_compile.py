"""The net under torch.compile: one graph, the same values, one compilation for each size of batch."""

import pytest
import torch
from replaced_gpus import ONE
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.distributed.mesh import World
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import create_net
from alexnet_dist.strategies.check import check_experiment
from alexnet_dist.training import wiring

SMALL = ["--net.name", "alexnet_small", "--data.name", "synthetic"]


def experiment(ranks: int, *flags: str) -> Experiment:
    return resolve(load([*SMALL, "--train.compile", "true", *flags]), ranks)


def test_one_graph_a_size_and_the_same_gradients() -> None:
    net = create_net(table_of(experiment(1).net))
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net.forward, backend=counter, fullgraph=True, dynamic=False)

    def computed(forward: object, batch: int) -> tuple[Tensor, ...]:
        images = torch.rand(batch, 1, 32, 32, generator=torch.Generator().manual_seed(batch))
        masks = {name: torch.ones(batch, 64) for name in ("dropout6", "dropout7")}
        logits = forward(images, masks)  # type: ignore[operator]
        return logits, *torch.autograd.grad(logits.square().sum(), list(net.parameters()))

    for batch in (4, 4, 3, 4, 3):  # 3: the short last one of an epoch
        for ours, theirs in zip(computed(compiled, batch), computed(net.forward, batch), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert counter.frame_count == 2


@pytest.mark.parametrize("strategy", ["single", "ddp"])
def test_strategies_that_can_be_compiled(strategy: str) -> None:
    ranks = 1 if strategy == "single" else 2
    check_experiment(experiment(ranks, "--strategy.name", strategy), ranks)


@pytest.mark.parametrize("strategy", ["split", "fsdp", "zero1", "zero3"])
def test_others_are_refused_with_the_reason(strategy: str) -> None:
    with pytest.raises(UsageError, match=f"{strategy} (exchanges|hooks) .*single and ddp can be compiled"):
        check_experiment(experiment(2, "--strategy.name", strategy), 2)


def test_a_gpu_where_triton_does_not_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ONE.replace(monkeypatch)
    monkeypatch.setattr(wiring, "init_distributed", lambda *_: (None, World(0, 1, torch.device("cuda", 0), None)))
    with pytest.raises(UsageError, match=r"torch\.compile can make no kernels here: Triton does not run"):
        wiring.init_ranks(load([*SMALL, "--train.compile", "true", "--strategy.name", "single"]))
