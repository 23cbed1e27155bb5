#!/usr/bin/env bash
# Runs the tests in layers and says how long each took. DEPTH=fast stops after the simulations.
set -euo pipefail
cd "$(dirname "$0")/.."
locked=${CARGO_FLAGS---locked}

layer() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name: $*"
  "$@"
  echo "== $name took $((SECONDS - start)) s"
}

if [ "${DEPTH:-full}" != fast ]; then
  layer F-fixtures scripts/fixtures.sh
  layer F-page scripts/web.sh
  layer F-page-tests npm --prefix web test --silent
  layer F-browser npm --prefix tests/browser ci --prefer-offline --no-fund --no-audit --loglevel=error
  BANYAN_STRICT=${STRICT:-} layer F-page-in-a-browser npm --prefix tests/browser test --silent
fi
BANYAN_FIXTURES=${BANYAN_FIXTURES:-${XDG_CACHE_HOME:-$HOME/.cache}/banyan/fixtures}
export BANYAN_FIXTURES

# Generated inputs are the same on every machine; PROPTEST_RNG_SEED=$RANDOM looks further.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20}
echo "== seed of generated inputs: PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED"

layer build cargo build $locked --workspace --bins
layer L0-unit-and-simulation cargo test $locked --no-fail-fast --workspace --exclude banyan-tests
if [ "${DEPTH:-full}" != fast ]; then
  # One overlay at a time: each is a dozen processes.
  layer L1-processes-and-browser cargo test $locked --no-fail-fast -p banyan-tests -- --test-threads=1 --nocapture
fi
