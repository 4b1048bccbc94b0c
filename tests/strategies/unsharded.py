"""Started on ranks by test_placed_engines.py: the parity worker, with an FSDP that silently keeps whole copies."""

import sys

from alexnet_dist.parity import worker
from alexnet_dist.strategies.engines import fsdp

fsdp.fully_shard = lambda layer, **_: layer  # type: ignore[attr-defined, assignment]

if __name__ == "__main__":
    sys.exit(worker.main(sys.argv[1]))
