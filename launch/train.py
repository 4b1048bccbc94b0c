"""Train AlexNet on the ranks that a launcher started.

python launch/train.py                                                  # one process
accelerate launch launch/train.py                                       # one rank a GPU; one on a CPU
accelerate launch --multi_gpu --num_processes 2 launch/train.py         # two ranks: ddp; also without a GPU
accelerate launch --multi_gpu --num_processes 2 launch/train.py --strategy.name split
python launch/train.py --help                                           # every setting
"""

import sys

from alexnet_dist.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
