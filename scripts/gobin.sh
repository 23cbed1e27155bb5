#!/usr/bin/env bash
# gobin.sh MODULE_DIR OUTPUT PACKAGE [LDFLAGS]: builds a command of a pinned Go module and prints the path of the binary.
# Kept in the cache by the digest of the module's files, the package, the linker's flags and the compiler's version,
# so a second call costs nothing and a changed pin never runs an old binary.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: gobin.sh MODULE_DIR OUTPUT PACKAGE [LDFLAGS]" >&2; exit 64; }
module=$(cd "$1" && pwd) output=$2 package=$3 flags=${4:-}
command -v go >/dev/null || { echo "$output needs Go 1.26 or newer to be built, and go is not on the path" >&2; exit 1; }
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='-mod=readonly -buildvcs=false -trimpath'

key=$({
  (cd "$module" && find . -type f \( -name '*.go' -o -name go.mod -o -name go.sum \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
  printf '%s\n' "$package" "$flags" "$(go version)" "$GOFLAGS"
} | sha256sum | cut -c1-16)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/banyan/cluster/bin/$key
if [ ! -x "$folder/$output" ]; then
  mkdir -p "$folder"
  exec 9>"$folder/.lock"
  flock 9
  if [ ! -x "$folder/$output" ]; then
    start=$SECONDS
    echo "building $output; the first time takes minutes" >&2
    (cd "$module" && nice go build -ldflags "$flags" -o "$folder/$output.part" "$package" >&2)
    mv "$folder/$output.part" "$folder/$output"
    echo "built $output in $((SECONDS - start)) s" >&2
  fi
fi
echo "$folder/$output"
