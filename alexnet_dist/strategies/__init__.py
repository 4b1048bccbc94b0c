"""How a net lies on the ranks. Nothing outside this folder branches on a strategy's name."""

from alexnet_dist.strategies.base import Strategy
from alexnet_dist.strategies.ddp import Ddp
from alexnet_dist.strategies.fsdp import Fsdp
from alexnet_dist.strategies.single import Single
from alexnet_dist.strategies.split import Split
from alexnet_dist.strategies.zero import Zero1, Zero2, Zero3

STRATEGIES: dict[str, type[Strategy]] = {kind.name: kind for kind in (Single, Ddp, Split, Zero1, Zero2, Zero3, Fsdp)}
