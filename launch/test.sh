#!/usr/bin/env bash
# Sets a bare Debian or Ubuntu machine up and runs every test. Arguments go through to pytest:
#   launch/test.sh                          everything
#   launch/test.sh tests/nets -k norm       a part
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
