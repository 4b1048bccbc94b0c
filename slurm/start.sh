#!/usr/bin/env bash
# Starts ranks on the nodes of this job, one launcher a node, and waits for them:
#   slurm/start.sh RANKS PROGRAM ARGUMENTS …
# The job scripts use it, and `alexnet-dist compare --start-with slurm/start.sh`. Fewer ranks take fewer nodes.
set -euo pipefail
ranks=$1
shift
on_node=$((ranks < RANKS_PER_NODE ? ranks : RANKS_PER_NODE))
nodes=$((ranks / on_node))
if ((nodes * on_node != ranks || nodes > SLURM_JOB_NUM_NODES)); then
  echo "error: RANKS: $ranks: this job has $SLURM_JOB_NUM_NODES nodes with $RANKS_PER_NODE ranks each" >&2
  exit 2
fi
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n "$nodes")
several=""
if ((ranks > 1)); then several=--multi_gpu; fi
export SEVERAL=$several RANKS=$ranks MASTER_ADDR=${hosts[0]}

# Single quotes: each node puts its own SLURM_NODEID in. Double ones would make all of them node 0, and the job would hang.
# shellcheck disable=SC2016
exec srun --nodelist="$(IFS=, && echo "${hosts[*]}")" --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 \
  --kill-on-bad-exit=1 bash -c '
    exec $CONTAINER accelerate launch --config_file alexnet_dist/launcher_defaults.yaml $SEVERAL --num_processes "$RANKS" \
      --num_machines "$SLURM_STEP_NUM_NODES" --machine_rank "$SLURM_NODEID" --rdzv_backend static \
      --main_process_ip "$MASTER_ADDR" --main_process_port "$MASTER_PORT" "$@"' start "$@"
