"""Checkpoints: what is in one, how it is written, how training is taken up from it."""

import warnings

# One process without a group is an ordinary case here, not an oversight.
warnings.filterwarnings("ignore", message="torch.distributed is disabled")
