#!/usr/bin/env bash
# Sets a bare Debian or Ubuntu machine up and runs every test. Arguments go through to pytest:
#   launch/test.sh                          everything; on a GPU, too, where there is one
#   launch/test.sh --fast                   what starts no processes: two minutes
#   launch/test.sh --long                   long forms, too: hours
#   launch/test.sh tests/nets -k norm       a part
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh

# A compiler for the response norm and ZeRO and, for the two-node cluster of tests/slurm, a real Slurm, where this user
# may have them.
if [ "$(id -u)" -eq 0 ] && ! (command -v c++ && command -v slurmctld && command -v sbatch && command -v shellcheck) >/dev/null; then
  system_packages g++ slurmctld slurmd slurm-client munge iproute2 shellcheck
fi

.venv/bin/alexnet-dist data fetch photographs || true  # its tests are skipped without

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy --num-workers auto
# One worker more than cores: programs under test wait, and start up on one core. Long forms want the machine alone.
workers=(-n "$(($(nproc) + 1))" --maxprocesses 8 --no-loadscope-reorder)
case ${1:-} in
--fast) set -- -m "not processes" "${@:2}" ;;
--long)
  export ALEXNET_DIST_LONG=true
  workers=()
  shift
  ;;
esac
.venv/bin/python -m pytest "${workers[@]}" "$@"
# On a GPU, tests marked so run by themselves: all others must not see it.
if .venv/bin/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  ALEXNET_DIST_GPU_TESTS=true .venv/bin/python -m pytest "$@" || [ $? -eq 5 ] # 5: none among those wanted
fi
