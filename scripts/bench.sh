#!/usr/bin/env bash
# Measures one preset or all, optimised, and keeps the lines in bench/results.jsonl.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-all}
locked=${CARGO_FLAGS---locked}
cargo build $locked --release -p banyan-bench -p banyan-relay -p banyan -p banyan-origin
bench=${CARGO_TARGET_DIR:-target}/release/banyan-bench
case $preset in
  hop | edge | planner | resume | links) presets=("$preset") ;;
  all) presets=(hop edge planner) ;; # resume takes half an hour, links need namespaces
  *) echo "preset '$preset' is not known; hop, edge, planner, resume, links and all are" >&2; exit 64 ;;
esac
for one in "${presets[@]}"; do
  "$bench" "$one" | tee "bench/results.$one.jsonl"
done
