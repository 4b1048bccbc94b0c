#!/usr/bin/env bash
# Two hosts on one machine: network namespaces joined by a link whose rate can be set. Needs root and iproute2.
#   two_hosts.sh start NAME RATE                     RATE as tc takes it, such as 1gbit; or "unlimited"
#   two_hosts.sh launch NAME RANKS PROGRAM ARGS...   ranks shared out over the hosts, one alone on the first; this is a
#                                                    command for `compare --start-with`; PYTHON says which python
#   two_hosts.sh stop NAME
# Each host has its half of the cores. With TWO_HOSTS_LOG set, every launch adds a line to that file: the bytes that the
# first host's interface sent meanwhile, and the program's arguments.
# shellcheck disable=SC2016,SC2046  # "$0" is the inner shell's; no word is wanted where there is no flag
set -euo pipefail
action=$1 name=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)

start() {
  local rate=$1 host
  ip netns add "$name-1"
  ip netns add "$name-2"
  ip link add eth0 netns "$name-1" type veth peer name eth0 netns "$name-2"
  for host in 1 2; do
    ip -n "$name-$host" link set lo up
    ip -n "$name-$host" addr add "10.77.0.$host/24" dev eth0
    ip -n "$name-$host" link set eth0 up
    if [ "$rate" != unlimited ]; then
      tc -n "$name-$host" qdisc add dev eth0 root tbf rate "$rate" burst 1mb latency 50ms
    fi
  done
}

on_host() {
  local host=$1 half
  half=$(($(env -u OMP_NUM_THREADS nproc) / 2)) # nproc counts no more than that says
  shift
  exec taskset -c "$(((host - 1) * half))-$((host * half - 1))" ip netns exec "$name-$host" \
    env GLOO_SOCKET_IFNAME=eth0 unshare --uts sh -c 'hostname "$0" && exec "$@"' "$name-$host" "$@"
}

sent() { ip netns exec "$name-1" cat /sys/class/net/eth0/statistics/tx_bytes; }

launch() {
  local ranks=$1 hosts=2 host code=0 before pids=()
  shift
  if [ "$ranks" -eq 1 ]; then hosts=1; fi
  before=$(sent)
  for ((host = 1; host <= hosts; host++)); do
    on_host "$host" "${PYTHON:-python3}" -m accelerate.commands.launch \
      --config_file "$here/../../alexnet_dist/launcher/accelerate_defaults.yaml" $([ "$ranks" -eq 1 ] || echo --multi_gpu) \
      --num_machines "$hosts" --num_processes "$ranks" --machine_rank $((host - 1)) --rdzv_backend static \
      --main_process_ip 10.77.0.1 --main_process_port 29500 "$@" &
    pids+=($!)
  done
  trap 'kill "${pids[@]}" 2>/dev/null' TERM INT
  for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
  if [ -n "${TWO_HOSTS_LOG:-}" ]; then echo "$(($(sent) - before)) $*" >>"$TWO_HOSTS_LOG"; fi
  return "$code"
}

stop() {
  ip netns del "$name-1"
  ip netns del "$name-2"
}

case $action in
  start | launch | stop) "$action" "$@" ;;
  *) echo "two_hosts.sh: $action: start, launch or stop" >&2; exit 2 ;;
esac
