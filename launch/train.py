"""Train AlexNet on the ranks that a launcher started.

accelerate launch launch/train.py                                              # one process
accelerate launch --multi_gpu --num_processes 2 launch/train.py                # ddp, on two GPUs or on the CPU
accelerate launch --multi_gpu --num_processes 2 launch/train.py --strategy.name split
python launch/train.py --help                                                  # every setting
"""

import sys

from alexnet_dist.cli import train

if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]))
