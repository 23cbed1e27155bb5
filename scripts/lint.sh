#!/usr/bin/env bash
# Formatting, lints as law, generated files, and rules that no compiler knows.
set -euo pipefail
cd "$(dirname "$0")/.."
locked=${CARGO_FLAGS---locked}
fail=0
say() { echo "lint: $*" >&2; fail=1; }

cargo fmt --all --check
cargo clippy $locked --quiet --workspace --all-targets -- -D warnings
npm --prefix web run --silent lint

# That crds/ are what the types generate is a unit test of api.
PYTHONPATH=$(scripts/python.sh) python3 -B scripts/references.py --check || say "generated references are stale"

while read -r file; do
  head -n 1 "$file" | grep -q '^//!' || say "$file does not open with //!"
done < <(git ls-files '*.rs')
git ls-files '*/mod.rs' | grep . && say "use foo.rs and foo/, not mod.rs"
git grep -nE '\b(TODO|FIXME)\b' -- '*.rs' '*.ts' '*.sh' ':!scripts/lint.sh' && say "unfinished work is marked in the sources"
git grep -nE '#\[ignore' -- '*.rs' && say "ignored tests"
git grep -nE 'thread::sleep' -- '*.rs' ':!tests/src/wait.rs' && say "tests wait on conditions or use virtual time"
while read -r script; do
  bash -n "$script" || say "$script does not parse"
done < <(git ls-files 'scripts/*.sh' 'tests/*.sh' .ci/run)
exit "$fail"
