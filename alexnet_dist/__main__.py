"""`python -m alexnet_dist COMMAND`."""

import sys

from alexnet_dist.cli import main

if __name__ == "__main__":
    sys.exit(main())
