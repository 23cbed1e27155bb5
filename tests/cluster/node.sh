# Nodes of one run: a network namespace each, with containerd, kubelet and kube-proxy. Sourced by init.sh.

# node_start NUMBER: starts node nNUMBER and gives it the images.
node_start() {
  local name=n$1
  node_network "$1"
  node_cgroup "$name"
  node_containerd "$1"
  spawn "$name-containerd" in_node "$name" containerd --config "$RUN/$name/containerd.toml"
  until_true 120 "containerd of $name answers" ctr --address "/run/$name/containerd.sock" version
  local image
  while read -r image; do
    [ -z "$image" ] ||
      ctr --address "/run/$name/containerd.sock" --namespace k8s.io images import "$image" >>"$RUN/$name-images.log"
  done <<<"$IMAGES"
  node_kubelet "$1"
  spawn "$name-kubelet" in_node "$name" "$BIN/kubelet" --config "$RUN/$name/kubelet.yaml" \
    --root-dir "$RUN/$name/kubelet" --cert-dir "/run/$name/pki" --kubeconfig "$RUN/$name.kubeconfig" \
    --hostname-override "$name" --node-ip "192.0.2.1$1" --node-labels "topology.kubernetes.io/zone=zone-$1"
  proxy_config "$name" "192.0.2.1$1" "$name"
  spawn "$name-proxy" in_node "$name" "$BIN/kube-proxy" --config "$RUN/$name-proxy.yaml"
}

# nsenter and not "ip netns exec", which mounts another /sys and so hides the cgroups.
in_node() { exec nsenter --net="/run/netns/$1" -- "${@:2}"; }

node_network() {
  local name=n$1
  mkdir -p "/run/$name" "$RUN/$name/cni" "$RUN/$name/kubelet"
  ip netns add "$name"
  ip link add eth0 netns "$name" type veth peer name "$name"
  ip link set "$name" master br0 up
  ip -n "$name" link set lo up
  ip -n "$name" addr add "192.0.2.1$1/24" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" route add default via "$ADDRESS"
  # Pods of a node are found through it; this cluster's network plugin knows one node only.
  ip route add "10.244.$1.0/24" via "192.0.2.1$1"
  (in_node "$name" sysctl -qw net.ipv4.ip_forward=1)
  (in_node "$name" sysctl -qw net.bridge.bridge-nf-call-iptables=1) || true # absent without br_netfilter
  cat > "$RUN/$name/cni/10-banyan.conflist" <<C
{"cniVersion": "0.4.0", "name": "banyan", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true, "ipam": {
    "type": "host-local", "dataDir": "/run/$name/ipam",
    "ranges": [[{"subnet": "10.244.$1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
}

cgroup_of() { echo "banyan-$(basename "$RUN")-$1"; }

node_cgroup() {
  local cgroup hierarchy file
  cgroup=$(cgroup_of "$1")
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$cgroup"
    return
  fi
  for hierarchy in /sys/fs/cgroup/*/; do
    [ -e "$hierarchy/cgroup.procs" ] && [ ! -e "$hierarchy/cgroup.controllers" ] || continue
    mkdir -p "$hierarchy/$cgroup"
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$hierarchy/$file" ] || cat "$hierarchy/$file" > "$hierarchy/$cgroup/$file"
    done
    # All pods of a node together weigh as much as a few programs of this machine, and not as one.
    [ ! -e "$hierarchy/cpu.shares" ] || echo 8192 > "$hierarchy/$cgroup/cpu.shares"
  done
}

node_containerd() {
  local name=n$1
  cat > "$RUN/$name/containerd.toml" <<C
version = 2
root = "/run/$name/containerd"
state = "/run/$name/containerd-state"
[grpc]
  address = "/run/$name/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/$name/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/banyan-pause:1"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE no sandbox could lower its score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/$name/cni"
C
}

node_kubelet() {
  local name=n$1
  cat > "$RUN/$name/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 192.0.2.1$1
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/$name/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$(cgroup_of "$name")
enforceNodeAllocatable: [pods]
failSwapOn: false
failCgroupV1: false
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
imageGCHighThresholdPercent: 100
clusterDNS: [$ADDRESS]
clusterDomain: cluster.local
resolvConf: ""
podLogsDir: $RUN/$name/logs
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: 8
kubeAPIQPS: 100
kubeAPIBurst: 200
K
}

# proxy_config NAME ADDRESS NODE
proxy_config() {
  cat > "$RUN/$1-proxy.yaml" <<P
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: $2
hostnameOverride: $3
clientConnection: {kubeconfig: $RUN/proxy.kubeconfig}
clusterCIDR: $PODS
mode: iptables
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
P
}

# Services also have their addresses where the tests and the control plane run, as they would on a control-plane node.
proxy_of_host() {
  proxy_config host "$ADDRESS" n1
  spawn host-proxy "$BIN/kube-proxy" --config "$RUN/host-proxy.yaml"
}

wait_for_nodes() {
  local number
  for number in $(seq "$NODES"); do
    until_true 240 "node n$number is ready" node_ready "n$number"
    say "node n$number"
  done
}

node_ready() {
  [ ! -e "$RUN/$1-kubelet.pid" ] || must_run "$1-kubelet"
  [ "$(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}
