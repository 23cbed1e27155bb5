#!/usr/bin/env bash
# s1 (Host, member s1): start/s1.sh routes | run | view | capture | check WORD | stop WORD
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
node=s1
. "$here/lib.sh"

routes() {
  ip route replace 10.0.0.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e::/64 via fd42:6e79:616e:7::a dev eth0
  ip route replace 10.0.1.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e:1::/64 via fd42:6e79:616e:7::a dev eth0
  ip route replace 10.0.2.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e:2::/64 via fd42:6e79:616e:7::a dev eth0
  ip route replace 10.0.3.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e:3::/64 via fd42:6e79:616e:7::a dev eth0
  ip route replace 10.0.4.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e:4::/64 via fd42:6e79:616e:7::a dev eth0
  ip route replace 10.0.5.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e:5::/64 via fd42:6e79:616e:7::a dev eth0
  ip route replace 10.0.6.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e:6::/64 via fd42:6e79:616e:7::a dev eth0
  ip route replace 10.0.8.0/24 via 10.0.7.10 dev eth0
  ip -6 route replace fd42:6e79:616e:8::/64 via fd42:6e79:616e:7::a dev eth0
  :
}

run() {
  wait_for control 10.0.4.10 8080
  mkdir -p "$state/record" "$state/cache/"s1
  start_program banyan-origin \
    --member s1 --topology scenario-b --grpc 10.0.7.11:7400 --http 10.0.7.11:8080 --advertise http://10.0.7.11:7400 --config "$here"/configs/s1.json --control http://10.0.4.10:7400 --record "$state"/record --media "$media" --cache "$state"/cache/s1
}

view() {
  echo "nobody watches on $node" >&2
  exit 64
}

listens() {
  listening 10.0.7.11 8080
}

main "$@"
