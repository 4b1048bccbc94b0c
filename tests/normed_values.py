"""Started by test_compiled.py: prints whether the kernel is there, the warnings on a CPU, and normed values."""

import torch

from alexnet_dist.kernels.availability import kernel_warnings
from alexnet_dist.kernels.cpu_kernels import kernel_of
from alexnet_dist.kernels.response_norm import response_norm

print(kernel_of(torch.float32) is not None)
print(kernel_warnings(torch.device("cpu")))
print(response_norm(torch.full((1, 4, 1, 1), 2.0), maps=4, size=3, alpha=3.0, beta=1.0, k=0.0).flatten().tolist())
