"""Compare strategies on this machine: speed, causes, and whether it is the same training.

python launch/compare.py --config configs/compare/smoke.yaml                    # the smallest comparison
python launch/compare.py --strategies single,ddp,split --global-batches 32,128 --net.name alexnet_2012
python launch/compare.py --from runs/compare/smoke                              # draw the report again
python launch/compare.py --help                                                 # every setting
"""

import sys

from alexnet_dist.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
