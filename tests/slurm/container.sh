#!/usr/bin/env bash
# A container as a job script sees one: `container.sh PROGRAM ARGUMENTS …` runs a program where Slurm's client is not.
set -euo pipefail
# shellcheck disable=SC2016  # the inner shell expands them
exec unshare --mount bash -c '
  for tool in srun scontrol squeue sbatch; do mount --bind /bin/false "$(command -v "$tool")"; done
  exec "$@"' container "$@"
