#!/usr/bin/env bash
# Starts ranks on the nodes of this job, one launcher a node, and waits for them. Fewer ranks take fewer nodes.
#   slurm/start.sh RANKS train FLAGS …              a training run that stops on signals and ends with its own exit code
#   slurm/start.sh RANKS PROGRAM ARGUMENTS …        any program of accelerate launch: alexnet-dist compare --start-with
set -euo pipefail
ranks=$1
shift
on_node=$((ranks < RANKS_PER_NODE ? ranks : RANKS_PER_NODE))
nodes=$((ranks / on_node))
if ((nodes * on_node != ranks || nodes > SLURM_JOB_NUM_NODES)); then
  echo "error: RANKS: $ranks: this job has $SLURM_JOB_NUM_NODES nodes with $RANKS_PER_NODE ranks each" >&2
  exit 2
fi
if ! command -v scontrol >/dev/null; then
  echo "error: scontrol: not on the PATH: start.sh asks Slurm for the nodes, so it runs outside the container" >&2
  exit 2
fi
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n "$nodes")
export RANKS=$ranks ADDRESS=${hosts[0]} # not MASTER_ADDR: without RANK it means a failed launch
if [ "$1" = train ]; then set -- -- "${@:2}"; else set -- --program -- "$@"; fi

# Single quotes: each node puts its own number in. With double ones all of them would be node 0, and the job would hang.
# shellcheck disable=SC2016
launcher='alexnet-dist launch --ranks "$RANKS" --nodes "$SLURM_STEP_NUM_NODES" --node-rank "$SLURM_NODEID" \
  --address "$ADDRESS" --port "$MASTER_PORT" "$@"'
exec srun --nodelist="$(IFS=, && echo "${hosts[*]}")" --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 \
  --kill-on-bad-exit=1 bash -c "exec ${CONTAINER:-} $launcher" start "$@"
