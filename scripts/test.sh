#!/usr/bin/env bash
# Runs the tests in layers and says how long each took.
#
#   F   what is fetched: clips, packages of the page
#   L0  unit tests and simulations                          DEPTH=unit stops here
#   L1  processes of this machine, and a browser            DEPTH=fast stops here
#   L4  network namespaces with delay, loss and rate
#   G   binaries of the test cluster, from pinned modules
#   L2  an API server
#   L3  two nodes with real kubelets
#
# STRICT=1 turns a skip into a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
locked=${CARGO_FLAGS---locked}
depth=${DEPTH:-full}
case $depth in
  unit | fast | full) ;;
  *) echo "DEPTH is '$depth'; unit, fast and full are accepted" >&2; exit 64 ;;
esac

layer() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name: $*"
  "$@"
  echo "== $name took $((SECONDS - start)) s"
}
# Always with the whole workspace, which picks one set of features: nothing is compiled twice.
test_all() { cargo test $locked --workspace --no-fail-fast "$@"; }
# One overlay or cluster at a time: each is a dozen processes.
test_here() { test_all "$@" -- --test-threads=1 --nocapture; }
# Files of integration tests, as arguments.
named() { printf '%s\n' "$@" | sed 's|.*/|--test=|; s|\.rs$||' | LC_ALL=C sort; }

if [ "$depth" != unit ]; then
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

layer build cargo build $locked --workspace --bins --tests --examples
mapfile -t parts < <(named $(git ls-files ':(glob)*/tests/*.rs' ':!tests/'))
layer L0-unit-and-simulation test_all --lib --bins "${parts[@]}"
[ "$depth" != unit ] || exit 0

mapfile -t local_tests < <(named tests/tests/*.rs)
layer L1-processes-and-browser test_here "${local_tests[@]}"
[ "$depth" != fast ] || exit 0

# Skips itself, with a sentence, where there are no user namespaces or no /dev/net/tun.
layer L4-testbed test_here --test testbed

# Go and cargo never build at the same time: each fills the machine alone.
if ! command -v go >/dev/null; then
  echo "SKIP layers G, L2 and L3: go is missing, which builds the test cluster; install Go 1.26 or newer"
  [ "${STRICT:-}" != 1 ] || exit 1
  exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
  layer G-packages scripts/setup.sh cluster
fi
layer G-cluster-binaries tests/cluster/build.sh
layer G-helm scripts/tool.sh helm4
layer G-chart scripts/chart.sh
layer L2-api-server test_here --test kubernetes_api --test kubernetes_scale
layer L3-two-nodes test_here --test kubernetes_nodes
