"""Sets torch's switches for a precision."""

import torch

from alexnet_dist.config.precisions import Precision


def set_switches(precision: Precision) -> None:
    """Let fp32 mean fp32 (by default torch computes convolutions in TF32), and cuDNN choose algorithms by measuring.

    The older two switches are set: after the newer `fp32_precision` torch.compile fails, which reads the older ones.
    """
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = precision.tf32
    torch.backends.cudnn.allow_tf32 = precision.tf32
