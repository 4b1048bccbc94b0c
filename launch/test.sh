#!/usr/bin/env bash
# Sets a bare Debian or Ubuntu machine up and runs every test. Arguments go through to pytest:
#   launch/test.sh                          everything
#   launch/test.sh tests/nets -k norm       a part
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh

# For the two-node cluster of tests/slurm: a real Slurm, where this user may have one.
if [ "$(id -u)" -eq 0 ] && ! (command -v slurmctld && command -v sbatch && command -v shellcheck) >/dev/null; then
  system_packages slurmctld slurmd slurm-client munge iproute2 shellcheck
fi

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
