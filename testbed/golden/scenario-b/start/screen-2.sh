#!/usr/bin/env bash
# screen-2 (Client): start/screen-2.sh routes | run | view | capture | check WORD | stop WORD
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
node=screen-2
. "$here/lib.sh"

routes() {
  ip route replace 10.0.0.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e::/64 via fd42:6e79:616e:3::a dev eth0
  ip route replace 10.0.1.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e:1::/64 via fd42:6e79:616e:3::a dev eth0
  ip route replace 10.0.2.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e:2::/64 via fd42:6e79:616e:3::a dev eth0
  ip route replace 10.0.4.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e:4::/64 via fd42:6e79:616e:3::a dev eth0
  ip route replace 10.0.5.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e:5::/64 via fd42:6e79:616e:3::a dev eth0
  ip route replace 10.0.6.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e:6::/64 via fd42:6e79:616e:3::a dev eth0
  ip route replace 10.0.7.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e:7::/64 via fd42:6e79:616e:3::a dev eth0
  ip route replace 10.0.8.0/24 via 10.0.3.10 dev eth0
  ip -6 route replace fd42:6e79:616e:8::/64 via fd42:6e79:616e:3::a dev eth0
  :
}

run() {
  echo "no member runs on $node" >&2
  exit 64
}

view() {
  wait_for_stream 10.0.2.10 8080 movie1
  play movie1 http://10.0.2.10:8080/movie1/index.m3u8 http://10.0.0.10:8080/movie1/index.m3u8
  wait_for_stream 10.0.2.10 8080 video4
  play video4 http://10.0.2.10:8080/video4/index.m3u8 http://10.0.0.10:8080/video4/index.m3u8
  wait
}

listens() {
  listening ''
}

main "$@"
