#!/usr/bin/env bash
# A real Slurm cluster of two nodes, n1 and n2, on one machine, for as long as a test needs it.
#
#   bed.sh start DIR                  returns when both nodes are idle
#   bed.sh exec DIR COMMAND …         on the login node: sbatch, squeue, …; working folder and environment are kept
#   bed.sh on DIR NODE COMMAND …      on a node
#   bed.sh cut DIR NODE               pulls a node's plug
#   bed.sh boot DIR NODE              plugs it in again
#   bed.sh stop DIR
#
# The cluster lives in one set of namespaces, and each node in its own inside it: network, host name, mounts, processes.
# When the first process of a set dies the kernel removes the rest, links and mounts included; so nothing is left behind.
# Needs root and Debian's slurmctld, slurmd, slurm-client, munge, iproute2.
set -euo pipefail
self=$(readlink -f "$0") command=$1 dir=$(readlink -m "$2")
shift 2
export SLURM_CONF=$dir/slurm.conf
network=10.77.0

# Run something as the first process of new namespaces, and write the process's number, as seen here, to a file.
in_namespaces() {
  local pid_file=$1 log=$2 child=""
  shift 2
  setsid unshare --net --uts --mount --pid --fork --mount-proc --kill-child "$@" </dev/null >"$log" 2>&1 &
  for _ in {1..100}; do
    child=$(cat /proc/$!/task/$!/children 2>/dev/null || true)
    if [ -n "$child" ]; then break; fi
    sleep 0.05
  done
  echo "${child% }" >"$pid_file"
}

# Run something inside the cluster's namespaces.
inside() { nsenter -t "$(cat "$dir/run/cluster")" -m -u -n -p --wd="$PWD" "$@"; }

# What a first process does once its daemons run: bash takes in orphans.
stay() { while :; do sleep 3600 & wait $! || true; done; }

write_files() {
  mkdir -p "$dir"/{run,log,state,spool/n1,spool/n2,dev}
  rm -f "$dir"/run/*
  chmod 755 "$dir" "$dir/run"
  sed "s|@DIR@|$dir|" "$(dirname "$self")/slurm.conf" >"$SLURM_CONF"
  echo "Name=gpu File=$dir/dev/gpu[0-1]" >"$dir/gres.conf"
  touch "$dir/dev/gpu0" "$dir/dev/gpu1" "$dir/resolv.conf"
  # The IPv6 form of a node's address is what torch looks a caller's name up by.
  printf '%s\n' "127.0.0.1 localhost" "$network.254 ctl" {,::ffff:}"$network.1 n1" {,::ffff:}"$network.2 n2" >"$dir/hosts"
  (umask 077 && head -c 64 /dev/urandom >"$dir/run/munge.key")
}

start() {
  write_files
  in_namespaces "$dir/run/cluster" "$dir/log/cluster.log" bash "$self" _cluster "$dir"
  for _ in {1..300}; do
    if [ -e "$dir/run/ready" ] && [ "$(inside sinfo -h -N -p main -o %T | grep -c idle)" = 2 ]; then return; fi
    sleep 0.1
  done
  echo "the nodes are not idle after 30 s" >&2
  tail -n 20 "$dir"/log/* >&2
  return 1
}

cluster() { # first process of the cluster: network, name service, devices, daemons
  hostname ctl
  mount --bind "$dir/hosts" /etc/hosts
  mount --bind "$dir/resolv.conf" /etc/resolv.conf
  for gpu in "$dir"/dev/gpu*; do mount --bind /dev/null "$gpu"; done # Slurm wants character devices
  ip link set lo up
  ip link add br0 type bridge
  ip addr add "$network.254/24" dev br0
  ip link set br0 up
  munged --key-file="$dir/run/munge.key" --socket="$dir/run/munge.socket" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/run/munge.seed"
  slurmctld
  boot n1
  boot n2
  touch "$dir/run/ready"
  stay
}

boot() { # inside the cluster
  rm -f "$dir/run/$1.linked"
  in_namespaces "$dir/run/$1" "$dir/log/$1.log" bash "$self" _node "$dir" "$1"
  ip link del "to-$1" 2>/dev/null || true
  ip link add "to-$1" type veth peer name eth0 netns "$(cat "$dir/run/$1")"
  ip link set "to-$1" master br0 up
  touch "$dir/run/$1.linked"
}

node() { # first process of a node
  hostname "$1"
  until [ -e "$dir/run/$1.linked" ]; do sleep 0.02; done
  ip link set lo up
  ip addr add "$network.${1#n}/24" dev eth0
  ip link set eth0 up
  slurmd -N "$1"
  stay
}

case $command in
start) start ;;
exec) inside "$@" ;;
on)
  node=$1
  shift
  inside nsenter -t "$(cat "$dir/run/$node")" -m -u -n -p --wd="$PWD" "$@"
  ;;
cut) inside kill -9 "$(cat "$dir/run/$1")" ;;
boot) inside bash "$self" _boot "$dir" "$1" ;;
stop) kill -9 "$(cat "$dir/run/cluster")" ;;
_cluster) cluster ;;
_boot) boot "$1" ;;
_node) node "$1" ;;
*) echo "usage: see the head of $self" >&2 && exit 2 ;;
esac
