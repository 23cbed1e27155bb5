#!/usr/bin/env bash
# Checks the chart: helm 4 and helm 3, its unit tests, kube-score, schemas of Kubernetes, yamllint.
# Needs Go for the tools; without it says SKIP, which STRICT=1 turns into a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v go >/dev/null; then
  echo "SKIP chart: go is missing, which builds helm and kube-score; install Go 1.26 or newer"
  [ -z "${STRICT:-}" ] || exit 1
  exit 0
fi
PYTHONPATH=$(scripts/python.sh)
export PYTHONPATH PYTHONDONTWRITEBYTECODE=1
helm4=$(scripts/tool.sh helm4)
helm3=$(scripts/tool.sh helm3)
score=$(scripts/tool.sh kube-score)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Sets of values that together render every template and every branch.
everything='metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,commonLabels.team=video'
sets=(
  "default|operator.replicas=2"
  "namespaced|watchNamespace=media,$everything"
  "bare|operator.replicas=1,networkPolicy.enabled=false,rbac.aggregate=false,crds.keep=false"
  "leases|leaseNamespace=leases,imageRegistry=registry.example.org/media,operator.priorityClassName=high"
)
for entry in "${sets[@]}"; do
  name=${entry%%|*} values=${entry#*|}
  for helm in "$helm4" "$helm3"; do
    "$helm" lint --strict --quiet charts/banyan --set "$values"
  done
  "$helm4" template larch charts/banyan --namespace grove --kube-version 1.34.0 --set "$values" >"$work/$name.yaml"
  "$helm3" template larch charts/banyan --namespace grove --kube-version 1.34.0 --set "$values" >"$work/$name.3.yaml"
  # Both render the same objects; only the order and the blank lines between differ.
  python3 tests/chart/same.py "$work/$name.yaml" "$work/$name.3.yaml"
  rm "$work/$name.3.yaml"
done
HELM=$helm4 python3 -m unittest -q tests/chart/test_chart.py
HELM=$helm3 python3 -m unittest -q tests/chart/test_chart.py

# Prints what kube-score minds in a file, but for the exceptions that a list explains.
judge() {
  local exceptions=$1 file=$2 ignored
  shift 2
  ignored=$(awk '!/^#/ && NF { printf "%s%s", sep, $1; sep = "," }' "$exceptions")
  "$score" score --output-format ci --ignore-test "$ignored" --enable-optional-test container-seccomp-profile "$@" "$file" >"$work/score" || true
  ! grep -E '^\[(CRITICAL|WARNING)\]' "$work/score"
}
for name in default namespaced leases; do
  judge tests/chart/kube-score.txt "$work/$name.yaml"
done

# What the operator builds is judged like the chart's own. No CPU limit there: throttled media stalls.
built=operator/src/build/golden
for file in "$built"/campus/*.yaml; do printf -- '---\n'; cat "$file"; done >"$work/campus.built"
judge tests/chart/kube-score-built.txt "$work/campus.built" --ignore-container-cpu-limit
python3 tests/chart/validate.py "$built"/*/*.yaml

python3 tests/chart/validate.py "$work"/*.yaml
python3 -m yamllint --strict --config-file tests/chart/yamllint.yaml \
  charts/banyan/Chart.yaml charts/banyan/values.yaml charts/banyan/files crds examples tests/manifests/crd "$work"/*.yaml
echo "chart: ${#sets[@]} sets of values, helm $("$helm4" version --template '{{.Version}}') and $("$helm3" version --template '{{.Version}}')"
