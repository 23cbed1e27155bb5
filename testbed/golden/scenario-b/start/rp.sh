#!/usr/bin/env bash
# rp (Host, member root-0): start/rp.sh routes | run | view | capture | check WORD | stop WORD
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
node=rp
. "$here/lib.sh"

routes() {
  ip route replace 10.0.0.0/24 via 10.0.5.10 dev eth1
  ip -6 route replace fd42:6e79:616e::/64 via fd42:6e79:616e:5::a dev eth1
  ip route replace 10.0.1.0/24 via 10.0.5.10 dev eth1
  ip -6 route replace fd42:6e79:616e:1::/64 via fd42:6e79:616e:5::a dev eth1
  ip route replace 10.0.2.0/24 via 10.0.6.10 dev eth2
  ip -6 route replace fd42:6e79:616e:2::/64 via fd42:6e79:616e:6::a dev eth2
  ip route replace 10.0.3.0/24 via 10.0.6.10 dev eth2
  ip -6 route replace fd42:6e79:616e:3::/64 via fd42:6e79:616e:6::a dev eth2
  :
}

run() {
  wait_for control 10.0.4.10 8080
  wait_for s1 10.0.7.11 8080
  mkdir -p "$state/record" "$state/cache/"root-0
  start_program banyan-relay \
    --member root-0 --role root --topology scenario-b --grpc 10.0.4.11:7400 --http 10.0.4.11:8080 --advertise http://10.0.4.11:7400 --config "$here"/configs/root-0.json --control http://10.0.4.10:7400 --record "$state"/record
}

view() {
  echo "nobody watches on $node" >&2
  exit 64
}

listens() {
  listening 10.0.4.11 8080
}

main "$@"
