#!/usr/bin/env bash
# Installs what is missing from Debian; says the one line to run where it may not. `setup.sh cluster` is about what a
# cluster of scripts/cluster.sh takes, and not what everything else does.
set -euo pipefail

# Libraries and tools to build, players and a browser for the tests, tools of network namespaces.
packages=(
  build-essential pkg-config clang libclang-dev cmake git make jq
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev
  ffmpeg chromium mpv fonts-dejavu-core nginx-light
  iproute2 util-linux
)
# The clips of the tests come by pip, whoever's Python it is.
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)
if [ "${1:-}" = cluster ]; then
  packages=(containerd runc containernetworking-plugins iptables conntrack iproute2 kmod openssl curl util-linux)
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done

if [ "${#missing[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}; this system has no apt-get, install their equivalents" >&2
    exit 1
  fi
  if [ "$(id -u)" -eq 0 ]; then
    sudo=()
  elif sudo -n true 2>/dev/null; then
    sudo=(sudo -n)
  else
    echo "some Debian packages are missing; run: sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "installing from Debian: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # nginx is only a peer to measure beside, containerd only for nodes of tests: neither may start as a service.
  policy=/usr/sbin/policy-rc.d
  guarded=no
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod +x "$policy"
    guarded=yes
  fi
  trap '[ "$guarded" = no ] || "${sudo[@]}" rm -f "$policy"' EXIT
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

fail=no
for tool in cargo:'Rust 1.95 or newer' npm:'Node.js 20 or newer with npm' python3:'Python 3'; do
  command -v "${tool%%:*}" >/dev/null || { echo "${tool%%:*} is missing; install ${tool#*:}" >&2; fail=yes; }
done
[ "$fail" = no ]
