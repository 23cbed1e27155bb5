#!/usr/bin/env bash
# tool.sh helm4|helm3|kube-score: builds the pinned tool when it is not in the cache and prints the binary's path.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  helm4) exec scripts/gobin.sh tests/cluster/helm4 helm helm.sh/helm/v4/cmd/helm "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1" ;;
  helm3) exec scripts/gobin.sh tests/cluster/helm3 helm helm.sh/helm/v3/cmd/helm "-s -w -X helm.sh/helm/v3/internal/version.version=v3.22.0" ;;
  kube-score) exec scripts/gobin.sh tests/cluster/kube-score kube-score github.com/zegl/kube-score/cmd/kube-score "-s -w" ;;
  *) echo "usage: tool.sh helm4|helm3|kube-score" >&2; exit 64 ;;
esac
