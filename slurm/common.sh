# shellcheck shell=bash
# What the job scripts share. Nothing in here differs from site to site.

if [ ! -f slurm/site.sh ]; then
  echo "error: sbatch: submit from the folder that holds slurm/, not from $PWD" >&2
  exit 2
fi
source slurm/site.sh
ranks=$((RANKS_PER_NODE * SLURM_JOB_NUM_NODES))
export MASTER_PORT=${MASTER_PORT:-$((10000 + SLURM_JOB_ID % 20000))} # another one for each job of a node
all_nodes=(--nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1)

# Before training: copy the data to where site.sh says, and run the doctor on every rank. Takes training flags.
prepare() {
  if [ -n "$STAGE_FROM" ]; then
    # shellcheck disable=SC2016  # each node expands them
    srun "${all_nodes[@]}" bash -c 'mkdir -p "$STAGE_TO" && cp -ru "$STAGE_FROM/." "$STAGE_TO"'
  fi
  # The tasks are the ranks themselves, which is quicker than a launcher on each node.
  # shellcheck disable=SC2086  # CONTAINER is several words
  srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$ranks" \
    --ntasks-per-node="$RANKS_PER_NODE" --cpus-per-task=1 --overcommit --kill-on-bad-exit=1 \
    $CONTAINER alexnet-dist doctor "$@"
}

# Train in a folder that the job keeps over all its starts, and exit with the run's own code: 0 done, 1 failed, 2 refused;
# 75, where the run was cut short and the job's next start resumes it.
train() {
  local run_dir=$1
  shift
  if [ -n "$STAGE_FROM" ]; then set -- "$@" --data.root "$STAGE_TO"; fi
  set -- "$@" --run.dir "$run_dir" --run.resume auto
  trap 'start_again "stopped before it began"' USR1 TERM
  prepare "$@" || if nodes_answer; then exit 2; else start_again "a node is gone"; fi
  rm -f "$run_dir/exit.json"
  slurm/start.sh "$ranks" train "$@" &
  child=$!
  trap 'kill -USR1 "$child"' USR1
  trap : TERM # Slurm signals the ranks itself; at a second signal they would end at once
  # A signal ends `wait`, not the child.
  while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
  case $(run_exit_code "$run_dir") in
  0) exit 0 ;;
  2) exit 2 ;;
  75) start_again "stopped early" ;;
  *) if nodes_answer; then exit 1; else start_again "a node is gone"; fi ;;
  esac
}

# A run's exit code, from its exit.json: srun's is 0 where a node died, and not the first rank's where it killed the rest.
run_exit_code() { grep -so '"code": [0-9]*' "$1/exit.json" | grep -o '[0-9]*' || echo unknown; }

nodes_answer() { timeout 60 srun "${all_nodes[@]}" --overlap true; }

# Requeue the job, unless the user cancelled it or Slurm is ending or requeueing it.
start_again() {
  if [ "$(squeue --noheader --job "$SLURM_JOB_ID" --format %T)" = RUNNING ]; then
    echo "$1: requeued, start $((${SLURM_RESTART_COUNT:-0} + 2)) resumes from the last checkpoint"
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit 75
}
