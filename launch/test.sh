#!/usr/bin/env bash
# Sets a bare Debian or Ubuntu machine up and runs every test. Arguments go through to pytest:
#   launch/test.sh                          everything
#   launch/test.sh tests/nets -k norm       a part
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh

# A compiler for the response norm and ZeRO and, for the two-node cluster of tests/slurm, a real Slurm, where this user
# may have them.
if [ "$(id -u)" -eq 0 ] && ! (command -v c++ && command -v slurmctld && command -v sbatch && command -v shellcheck) >/dev/null; then
  system_packages g++ slurmctld slurmd slurm-client munge iproute2 shellcheck
fi

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
