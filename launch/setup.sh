# shellcheck shell=bash
# Sourced by the scripts beside it: system packages, a virtual environment in .venv and the data set, each only where
# it is missing. Needs root (or sudo) only for system packages.

# Installs Debian packages; says what to do where that is not possible.
system_packages() {
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
  if ! command -v apt-get >/dev/null || ! { [ -z "$sudo" ] || command -v sudo >/dev/null; }; then
    echo "error: install these packages first, or run as root on Debian or Ubuntu: $*" >&2
    return 2
  fi
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

python=$(command -v python3 || true)
if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  system_packages python3 python3-venv
  python=$(command -v python3)
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: $python: Python 3.11 or newer is needed" >&2
  exit 2
fi

# Installed again only when the list of packages has changed.
wanted=$(sha256sum pyproject.toml)
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
  echo "setting .venv up (torch is large: a few minutes)"
  "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --editable '.[dev]'
  echo "$wanted" > .venv/installed
fi

.venv/bin/alexnet-dist data fetch || system_packages dataset-fashion-mnist
