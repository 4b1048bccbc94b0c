"""Sets torch's switches for a precision."""

import torch

from alexnet_dist.config.precisions import Precision


def set_switches(precision: Precision) -> None:
    """Let fp32 mean fp32 (by default torch computes convolutions in TF32), and cuDNN choose algorithms by measuring.

    The two older switches are set, since torch.compile reads those and fails after the newer `fp32_precision`.
    """
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = precision.tf32
    torch.backends.cudnn.allow_tf32 = precision.tf32
