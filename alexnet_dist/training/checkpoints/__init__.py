"""Checkpoints: what is in one, how it is written, and how training resumes from it."""

import warnings

# One process without a group is an ordinary case here, not an oversight.
warnings.filterwarnings("ignore", message="torch.distributed is disabled")
