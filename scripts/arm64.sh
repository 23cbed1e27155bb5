#!/usr/bin/env bash
# Checks that everything but the content server compiles for arm64 Linux. Nothing is linked or run. The content server is
# left out because it is built against the FFmpeg of the machine it runs on.
set -euo pipefail
cd "$(dirname "$0")/.."
locked=${CARGO_FLAGS---locked}
target=aarch64-unknown-linux-gnu
gcc=aarch64-linux-gnu-gcc

fail=no
# One dependency (AWS-LC) is C and assembly, so a C compiler for the target is needed even to check.
command -v "$gcc" >/dev/null ||
  { echo "$gcc is missing; run: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2; fail=yes; }
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] ||
  { echo "Rust's library for $target is missing; run: rustup target add $target" >&2; fail=yes; }
[ "$fail" = no ] || exit 69

# A folder of its own: the features differ from those of the whole workspace, and nothing of one is of use to the other.
export CARGO_TARGET_DIR=${ARM64_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/banyan/arm64}
export CC_aarch64_unknown_linux_gnu=$gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$gcc
start=$SECONDS
cargo check $locked --target "$target" --bins -p banyan-relay -p banyan-operator -p banyan
echo "arm64: banyan-relay, banyan-operator and banyan compile for $target ($((SECONDS - start)) s)"
