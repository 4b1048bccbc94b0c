#!/usr/bin/env bash
# From a fresh clone to AlexNet on real images, as data parallelism and as the two-GPU split of 2012, with one command:
#   launch/quickstart.sh
#   launch/quickstart.sh --net.name alexnet_2012      arguments go through to every run and to the comparison
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh
exec .venv/bin/python launch/quickstart.py "$@"
