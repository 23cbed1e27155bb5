#!/usr/bin/env bash
# First process of the cluster's namespaces: lays out files and network, starts everything, then holds it until told to
# end. Whatever it started dies with it.
#
# From scripts/cluster.sh: RUN (folder of this run), BIN (folder of the commands), NODES, IMAGES (one to a line), UNTIL_EOF.
set -euo pipefail
here=$(dirname "$0")
. "$here/pki.sh"
. "$here/controlplane.sh"
. "$here/node.sh"

# The cluster's own network (RFC 5737), seen by nobody outside.
ADDRESS=192.0.2.1
SERVICES=10.96.0.0/16
PODS=10.244.0.0/16

began=$(date +%s%N)
say() { printf '%6d ms  %s\n' $(((($(date +%s%N) - began)) / 1000000)) "$*"; }

# until_true SECONDS WHAT COMMAND...: waits for a condition; fails with what it was.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "not in time: $what"; return 1; }
    sleep 0.2
  done
}

# spawn NAME COMMAND...: in the background, with a log of its own.
spawn() {
  local name=$1
  shift
  "$@" </dev/null >"$RUN/$name.log" 2>&1 &
  echo $! > "$RUN/$name.pid"
}

# must_run NAME: ends everything, with the end of its log, if what was spawned does not run.
exec 4>&1
must_run() {
  kill -0 "$(cat "$RUN/$1.pid")" 2>/dev/null || { { echo "$1 has ended:"; tail -n 20 "$RUN/$1.log"; } >&4; exit 1; }
}

files() {
  # Sockets, network namespaces and states are the run's own; node files that pods see lie on disk under $RUN, since
  # memory files would count as memory of the pods.
  mount --make-rshared /
  mkdir -p /var/lib/cni /var/lib/kubelet
  local folder
  for folder in /run /var/log /var/lib/cni /var/lib/kubelet; do
    mount -t tmpfs tmpfs "$folder"
  done
  mkdir -p /run/netns /run/lock
}

network() {
  ip link set lo up
  ip link add br0 type bridge
  ip addr add "$ADDRESS/24" dev br0
  ip link set br0 up
  # An address of a Service is replaced on the way out, but only if there is a way.
  ip route add "$SERVICES" dev br0
  sysctl -qw net.ipv4.ip_forward=1
}

files
network
pki
say "keys and network"
controlplane
say "API server, controllers and scheduler"
dns
if [ "$NODES" -gt 0 ]; then
  "$here/guard.sh" save "$RUN"
  for number in $(seq "$NODES"); do node_start "$number" & done
  wait_for_nodes
  proxy_of_host
fi
say "everything is ready"
touch "$RUN/ready"

if [ "$UNTIL_EOF" = yes ]; then
  cat >/dev/null
else
  # An interrupt ends this shell, and the namespaces with it.
  trap 'exit 0' INT TERM
  while :; do sleep 3600 & wait $!; done
fi
