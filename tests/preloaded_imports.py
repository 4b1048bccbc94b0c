"""Imported once by the fork server of preloaded.py: what programs of this project import of others', and the slowest of
what torch imports when it is first used."""

import gc
import os
from importlib import import_module

from alexnet_dist.distributed.cores import bound_spinning

bound_spinning(os.environ)  # as programs do: OpenMP looks when torch is loaded
for name in (
    "accelerate", "psutil", "pydantic.main", "rich.progress", "safetensors.torch", "torch._dynamo",
    "torch.distributed.checkpoint.hf_storage", "torch.distributed.fsdp", "torch.distributed.tensor", "yaml",
):  # fmt: skip
    import_module(name)
gc.freeze()
