#!/usr/bin/env bash
# Writes the OCI images of the built binaries without an engine: $OUT/banyan-*.tar, in the cache by default.
# Loaded by `podman load -i`, `docker load -i`, `ctr images import`. BIN is the folder with the binaries.
#
#   images.sh          the product's, and the pause image that nodes want
#   images.sh tests    further those that only tests run: $OUT/test-*.tar
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/banyan
bin=${BIN:-${CARGO_TARGET_DIR:-$cache/target}/debug}
out=${OUT:-$cache/images}
version=$(awk -F'"' '/^version = / {print $2; exit}' Cargo.toml)
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The input that an archive was made of stands beside it, so an unchanged image costs one look at its binary.
image() {
  local file=$1 name=$2 entrypoint=$3 key
  shift 3
  local sources=()
  for argument in "$@"; do [[ $argument != /*=/* ]] || sources+=("${argument%%=/*}"); done
  key=$({ sha256sum < images/oci.py; cat "${sources[@]}" | sha256sum; printf '%s\n' "$name" "$@" | sed "s|$work||"
    dpkg-query -W -f '${Package}=${Version}\n' 'lib*' 2>/dev/null; } | sha256sum | cut -c1-32)
  if [ -f "$out/$file" ] && [ "$(head -n 1 "$out/$file.key" 2>/dev/null)" = "$key" ]; then
    tail -n 1 "$out/$file.key"
    return
  fi
  line=$(python3 images/oci.py --out "$out/$file" --name "$name" --entrypoint "$entrypoint" "$@")
  printf '%s\n%s\n' "$key" "$line" | tee "$out/$file.key" | tail -n 1
}

gcc -static -Os -s -o "$work/pause" images/pause.c
image banyan-pause.tar localhost/banyan-pause:1 /pause "$work/pause=/pause"

for part in relay operator origin cli; do
  binary=banyan-$part licences=Apache-2.0
  case $part in
    cli) binary=banyan ;;
    # Debian's FFmpeg is built with GPL parts, so the image that carries it is given out under the GPL.
    origin) licences="Apache-2.0 AND GPL-2.0-or-later" ;;
  esac
  [ -x "$bin/$binary" ] || { echo "$bin/$binary is missing; run: make build" >&2; exit 1; }
  cp "$bin/$binary" "$work/$binary"
  strip "$work/$binary"
  image "banyan-$part.tar" "localhost/banyan-$part:$version" "/$binary" --libraries \
    --label "org.opencontainers.image.title=banyan-$part" \
    --label "org.opencontainers.image.version=$version" \
    --label "org.opencontainers.image.licenses=$licences" \
    "$work/$binary=/$binary"
done

[ "${1:-}" = tests ] || exit 0
# An operator of another build, under the name that the chart makes of a tag.
later=$bin/examples/later
[ -x "$later" ] || { echo "$later is missing; run: cargo build --workspace --examples" >&2; exit 1; }
cp "$later" "$work/later"
strip "$work/later"
image test-later.tar localhost/banyan-operator:later /banyan-operator --libraries "$work/later=/banyan-operator"

# A media server of somebody's: what a shell script takes to write a file.
ffmpeg -v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=12 -f lavfi -i sine=frequency=440:duration=12 \
  -c:v mpeg4 -q:v 6 -c:a aac -flags +bitexact -fflags +bitexact -shortest "$work/loop.mp4"
programs=()
for program in sh cp mv sleep; do programs+=("$(readlink -f "/bin/$program")=/bin/$program"); done
image test-recorder.tar localhost/banyan-test-recorder:1 /bin/sh --libraries "${programs[@]}" "$work/loop.mp4=/loop.mp4"
