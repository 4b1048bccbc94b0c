"""Started by test_switches.py: switches precisions, reads all switches, compiles; then starts a run."""

import torch

from alexnet_dist import registry
from alexnet_dist.config.load import load
from alexnet_dist.config.precisions import set_switches
from alexnet_dist.training.wiring import init_ranks

for name in ("fp32", "tf32", "fp32"):
    precision = registry.precisions[name]
    set_switches(precision)
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    assert cuda.allow_tf32 == cudnn.allow_tf32 == precision.tf32
    assert torch.get_float32_matmul_precision() and torch.backends.fp32_precision and cuda.fp32_precision  # type: ignore[attr-defined]
    conv = cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    assert (conv == "tf32") == precision.tf32, conv
compiled = torch.compile(lambda x: x @ x + 1, backend="aot_eager", fullgraph=True)
assert torch.equal(compiled(torch.eye(3)), torch.eye(3) + 1)

set_switches(registry.precisions["tf32"])
torch.backends.cudnn.benchmark = False
init_ranks(load(["--net.name", "alexnet_small", "--data.name", "synthetic", "--train.precision", "fp32"]))
assert torch.backends.cudnn.benchmark and not torch.backends.cudnn.allow_tf32
