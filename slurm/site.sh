# shellcheck shell=bash
# A site's settings, besides the #SBATCH lines marked SITE in the job scripts. Every job sources this on its first node;
# what is exported here reaches all nodes.

# Python: whatever puts `alexnet-dist` on the PATH. Without a change: the .venv that launch/quickstart.sh makes.
#   module load python/3.11 cuda/12
#   source ~/miniconda3/bin/activate alexnet
if [ -d .venv ]; then source .venv/bin/activate; fi

# A container: the words in front of every rank; compare itself runs outside. docs/slurm.md has a whole recipe.
#   export CONTAINER="apptainer exec --nv --bind $PWD alexnet.sif"
export CONTAINER=${CONTAINER:-}

# Ranks on a node: one for each GPU. For nodes without GPUs, set their number, and select the CPU:
#   export RANKS_PER_NODE=2 ACCELERATE_USE_CPU=true
export RANKS_PER_NODE=${RANKS_PER_NODE:-${SLURM_GPUS_ON_NODE:-1}}

# CPUs: a node's ranks share all of the job's CPUs there; Slurm is not to bind the one task that starts them.
export SLURM_CPU_BIND=none SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# To bind each rank near its GPU (needs nvidia-ml-py):
#   export ACCELERATE_CPU_AFFINITY=1

# Network: the interface that leads to the other nodes is found. Where the fast one is another, name it for both:
#   export GLOO_SOCKET_IFNAME=ib0 NCCL_SOCKET_IFNAME=ib0
# NCCL finds InfiniBand by itself. To choose adapters (ibstat -l lists them), to go without, or to see what it chose:
#   export NCCL_IB_HCA=mlx5_0,mlx5_1
#   export NCCL_IB_DISABLE=1
#   export NCCL_DEBUG=INFO

# Data: copied to each node's own disk before the start, where a shared folder is slow.
#   export STAGE_FROM=/shared/fashion-mnist STAGE_TO=${SLURM_TMPDIR:-/tmp/$USER}/fashion-mnist
export STAGE_FROM=${STAGE_FROM:-} STAGE_TO=${STAGE_TO:-}

# W&B: compute nodes rarely reach the internet. Upload later, on a login node: wandb sync runs/*/wandb/offline-run-*
export WANDB_MODE=${WANDB_MODE:-offline}
