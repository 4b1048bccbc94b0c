"""torch's switches for a precision: all of them can be read afterwards, and torch.compile, which reads them, works."""

import subprocess
import sys

PROGRAM = """
import torch
from alexnet_dist import registry
from alexnet_dist.training.torch_switches import set_switches

for name in ("fp32", "tf32", "fp32"):
    precision = registry.precisions[name]
    set_switches(precision)
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    assert cuda.allow_tf32 == cudnn.allow_tf32 == precision.tf32
    torch.get_float32_matmul_precision(), torch.backends.fp32_precision, cuda.fp32_precision
    assert (cudnn.conv.fp32_precision == "tf32") == precision.tf32, cudnn.conv.fp32_precision
compiled = torch.compile(lambda x: x @ x + 1, backend="aot_eager", fullgraph=True)
assert torch.equal(compiled(torch.eye(3)), torch.eye(3) + 1)
"""


def test_all_can_be_read_and_torch_compile_works() -> None:
    """In a process of its own: the switches are the process's."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120)
