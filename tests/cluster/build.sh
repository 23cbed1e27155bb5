#!/usr/bin/env bash
# Builds what the test cluster consists of and prints the folder with a link for each command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
gobin=$here/../../scripts/gobin.sh

version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$here/controlplane/go.mod")
IFS=. read -r major minor _ <<<"${version#v}"
flags='-s -w'
# Clients ask these two for the release they are of; unset they say v0.0.0.
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  flags+=" -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
done

controlplane=$("$gobin" "$here/controlplane" controlplane . "$flags")
coredns=$("$gobin" "$here/coredns" coredns . '-s -w')

links=$(dirname "$controlplane")/with-$(basename "$(dirname "$coredns")")
mkdir -p "$links"
for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
  ln -sfn "$controlplane" "$links/$name"
done
ln -sfn "$coredns" "$links/coredns"
echo "$links"
