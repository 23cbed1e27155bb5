#!/usr/bin/env bash
# A Kubernetes cluster of real components for as long as this command runs: control plane, cluster DNS and nodes with
# real kubelets, all inside one PID, mount and network namespace, so that the kernel ends whatever runs in it when this
# command ends, however it ends. Nothing of the machine's own network, containers or services is touched.
#
#   cluster.sh [--nodes N] [--image FILE]... [--json] [--until-eof]
#
#   --nodes N     nodes with kubelets (2); 0 is an API server with its controllers and no place for pods
#   --image FILE  OCI archive that every node is given
#   --json        print one line that says where everything is, for programs
#   --until-eof   end when standard input ends, so that the cluster never outlives the program that started it
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
here=$root/tests/cluster
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 64; }

nodes=2 json=no until_eof=no images=()
while [ $# -gt 0 ]; do
  case $1 in
    --nodes) nodes=${2:?--nodes needs a number}; shift ;;
    --image) images+=("$(realpath "${2:?--image needs a file}")"); shift ;;
    --json) json=yes ;;
    --until-eof) until_eof=yes ;;
    *) usage ;;
  esac
  shift
done
[[ $nodes =~ ^[0-9]$ ]] || { echo "--nodes is '$nodes'; 0 to 9 are accepted" >&2; exit 64; }

# What a machine must have; one sentence for each thing that it lacks.
missing=()
[ "$(id -u)" -eq 0 ] || missing+=("root is needed to make namespaces; run it with sudo")
tools="unshare nsenter setpriv ip openssl curl flock go"
[ "$nodes" -eq 0 ] || tools+=" containerd ctr runc iptables conntrack"
for tool in $tools; do
  command -v "$tool" >/dev/null || missing+=("$tool is not on the path; run: scripts/setup.sh")
done
if [ "$nodes" -gt 0 ] && [ ! -x /usr/lib/cni/bridge ]; then
  missing+=("/usr/lib/cni/bridge is not there; run: scripts/setup.sh")
fi
if [ "${#missing[@]}" -gt 0 ]; then
  printf 'no cluster here: %s\n' "${missing[@]}" >&2
  exit 69
fi

bin=$("$here/build.sh")
path=$bin
# Who works in it by hand wants helm too; programs bring their own.
[ "$json" = yes ] || path+=:$(dirname "$("$root/scripts/tool.sh" helm4)")
runs=${XDG_CACHE_HOME:-$HOME/.cache}/banyan/cluster/run
mkdir -p "$runs"
"$here/guard.sh" sweep "$runs"
run=$(mktemp -d "$runs/XXXXXX")

# Every process of the cluster holds this lock; the guard gets it when the last one is gone and tidies up.
exec 8>"$run/lock"
flock 8
setsid "$here/guard.sh" after "$run" 8>&- </dev/null >/dev/null 2>&1 &
guard=$!

# Dies with this shell, also when that is killed: then the namespace's first process dies, and the kernel ends the rest.
exec 3<&0
archives=$(printf '%s\n' "${images[@]}")
env RUN="$run" BIN="$bin" NODES="$nodes" UNTIL_EOF="$until_eof" IMAGES="$archives" \
  setpriv --pdeathsig KILL \
  unshare --pid --fork --kill-child --mount --mount-proc --net \
  "$here/init.sh" <&3 >"$run/init.log" 2>&1 &
holder=$!
end() {
  trap - EXIT
  kill -KILL "$holder" 2>/dev/null || true
  wait "$holder" 2>/dev/null || true
  exec 8>&-
  wait "$guard" 2>/dev/null || true
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The namespaces' first process: a child of the holder that has a network of its own.
outside=$(readlink /proc/self/ns/net)
until first=$(cat "/proc/$holder/task/$holder/children" 2>/dev/null) && first=${first// /} && [ -n "$first" ] &&
  inside=$(readlink "/proc/$first/ns/net" 2>/dev/null) && [ "$inside" != "$outside" ]; do
  kill -0 "$holder" 2>/dev/null || { cat "$run/init.log" >&2; exit 1; }
  sleep 0.02
done
cat > "$run/enter" <<E
#!/bin/sh
# Runs a command in the cluster's network, with its kubectl.
export KUBECONFIG='$run/admin.kubeconfig' PATH='$path':"\$PATH"
exec nsenter --target $first --net -- "\${@:-bash}"
E
chmod +x "$run/enter"

until [ -e "$run/ready" ]; do
  if ! kill -0 "$holder" 2>/dev/null; then
    echo "the cluster did not start:" >&2
    tail -n 30 "$run/init.log" >&2
    exit 1
  fi
  sleep 0.1
done
if [ "$json" = yes ]; then
  printf '{"run":"%s","pid":%d,"kubeconfig":"%s","enter":"%s","bin":"%s","nodes":%d}\n' \
    "$run" "$first" "$run/admin.kubeconfig" "$run/enter" "$bin" "$nodes"
else
  cat "$run/init.log"
  cat <<T

The cluster is up. In another terminal:

  $run/enter                                  a shell in its network, with kubectl and helm
  $run/enter kubectl get nodes
  $run/enter curl http://CLUSTER-IP:PORT      Services have their addresses there

KUBECONFIG is $run/admin.kubeconfig (its server is only in that network).
Logs are in $run. Ctrl-C ends it.
T
fi
wait "$holder"
