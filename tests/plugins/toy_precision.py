"""A precision from outside the package: bf16 throughout, weights too."""

from alexnet_dist.config.precisions import Precision
from alexnet_dist.registry import precisions

precisions.register(Precision("toy_bf16", "bfloat16", "bfloat16", tolerance=3e-2))
