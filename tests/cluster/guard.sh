#!/usr/bin/env bash
# What the kernel does not undo by itself when a cluster's namespaces end: cgroups, sysctls of the machine, files.
#
#   guard.sh after RUN   waits for the end of the cluster in this folder, then tidies up after it
#   guard.sh sweep RUNS  tidies up after clusters whose guard was killed too
#   guard.sh save RUN    keeps the sysctls that kubelets change
set -euo pipefail
sysctls="vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes"

# Whether any process of the cluster in this folder lives.
alive() { [ -e "$1/lock" ] && ! flock --nonblock "$1/lock" true; }

tidy() {
  local run=$1 other name value
  find /sys/fs/cgroup -maxdepth 2 -type d -name "banyan-$(basename "$run")-*" -print0 2>/dev/null |
    while IFS= read -r -d '' cgroup; do
      for _ in $(seq 100); do
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
        [ -e "$cgroup" ] || break
        sleep 0.1 # processes that were killed leave their cgroup a little later
      done
    done
  if [ -e "$run/sysctls" ]; then
    for other in "$(dirname "$run")"/*/; do
      [ "$other" -ef "$run" ] || ! alive "$other" || [ ! -e "$other/sysctls" ] || { rm -rf "$run"; return; }
    done
    while read -r name value; do
      [ "$(cat "/proc/sys/$name")" = "$value" ] || echo "$value" > "/proc/sys/$name"
    done < "$run/sysctls"
  fi
  rm -rf "$run"
}

case $1 in
  after)
    exec 9<>"$2/lock"
    flock 9
    tidy "$2"
    ;;
  sweep)
    for run in "$2"/*/; do
      [ ! -e "$run/lock" ] || alive "$run" || tidy "${run%/}"
    done
    ;;
  save)
    for other in "$(dirname "$2")"/*/; do
      # Another cluster has changed them already; what it found is what the machine had.
      if [ -e "$other/sysctls" ] && alive "$other"; then
        cp "$other/sysctls" "$2/sysctls"
        exit 0
      fi
    done
    for name in $sysctls; do
      [ -e "/proc/sys/$name" ] && echo "$name $(cat "/proc/sys/$name")"
    done > "$2/sysctls"
    ;;
  *) echo "guard.sh $1 is not known; after, sweep and save are" >&2; exit 64 ;;
esac
