#!/usr/bin/env bash
# Prints a folder with the pinned Python packages of tests/chart, for PYTHONPATH; fetches them once into the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
list=tests/chart/requirements.txt
key=$({ cat "$list"; python3 --version; } | sha256sum | cut -c1-16)
out=${XDG_CACHE_HOME:-$HOME/.cache}/banyan/python/$key
if [ ! -d "$out" ]; then
  mkdir -p "${out%/*}"
  work=$(mktemp -d "$out.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --root-user-action=ignore --target "$work" --requirement "$list" >&2
  # Whoever comes second keeps the first one's.
  mv -T "$work" "$out" 2>/dev/null || [ -d "$out" ]
fi
echo "$out"
