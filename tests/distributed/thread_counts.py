"""Started by test_host_cpu.py: prints the threads of another thread and of the training thread."""

from threading import Thread

import torch

from alexnet_dist.distributed.host_cpu import use_own_cores

use_own_cores()
other = Thread(target=lambda: print(torch.get_num_threads()))
other.start()
other.join()
torch.randn(1 << 20).relu_()
print(torch.get_num_threads())
