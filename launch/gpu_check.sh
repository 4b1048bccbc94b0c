#!/usr/bin/env bash
# Tries on one GPU what can only be tried there, in under eight minutes and without a network; the project need not be
# installed. Arguments go through:
#   launch/gpu_check.sh --list                       its lines
#   PYTHON=python3 launch/gpu_check.sh               another Python than that of .venv
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m alexnet_dist.cli gpu_check "$@"
