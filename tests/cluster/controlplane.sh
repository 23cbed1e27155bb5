# etcd, API server, controllers, scheduler and cluster DNS of one run. Sourced by init.sh.

controlplane() {
  # State in memory: it ends with the cluster, and nobody waits for a disk.
  spawn etcd "$BIN/etcd" --data-dir /run/etcd --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster default=http://127.0.0.1:2380
  spawn apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
    --bind-address "$ADDRESS" --advertise-address "$ADDRESS" --secure-port 6443 \
    --service-cluster-ip-range "$SERVICES" --allow-privileged \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --tls-cert-file "$RUN/pki/apiserver.crt" --tls-private-key-file "$RUN/pki/apiserver.key" \
    --client-ca-file "$RUN/pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$RUN/pki/admin.crt" --kubelet-client-key "$RUN/pki/admin.key" \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$RUN/pki/accounts.pub" --service-account-signing-key-file "$RUN/pki/accounts.key" \
    --audit-policy-file "$here/audit.yaml" --audit-log-path "$RUN/audit.log" --audit-log-maxsize 1000 \
    --default-not-ready-toleration-seconds 5 --default-unreachable-toleration-seconds 5
  until_true 240 "the API server is ready" api_ready
  # A node is given up after missing some renewals of its lease (see node.sh), much sooner than in production.
  spawn controller-manager "$BIN/kube-controller-manager" --kubeconfig "$RUN/controller-manager.kubeconfig" \
    --authentication-kubeconfig "$RUN/controller-manager.kubeconfig" \
    --authorization-kubeconfig "$RUN/controller-manager.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file "$RUN/pki/accounts.key" --root-ca-file "$RUN/pki/ca.crt" \
    --allocate-node-cidrs --cluster-cidr "$PODS" --service-cluster-ip-range "$SERVICES" \
    --node-monitor-period 1s --node-monitor-grace-period 12s
  if [ "$NODES" -gt 0 ]; then
    spawn scheduler "$BIN/kube-scheduler" --kubeconfig "$RUN/scheduler.kubeconfig" \
      --authentication-kubeconfig "$RUN/scheduler.kubeconfig" --authorization-kubeconfig "$RUN/scheduler.kubeconfig" \
      --bind-address 127.0.0.1 --leader-elect=false
  fi
  until_true 120 "the default ServiceAccount is there" kubectl -n default get serviceaccount default
}

kubectl() { "$BIN/kubectl" --kubeconfig "$RUN/admin.kubeconfig" --request-timeout 10s "$@"; }

api_ready() {
  must_run etcd
  must_run apiserver
  [ "$(curl --silent --max-time 2 --cacert "$RUN/pki/ca.crt" --cert "$RUN/pki/admin.crt" --key "$RUN/pki/admin.key" \
    "https://$ADDRESS:6443/readyz")" = ok ]
}

dns() {
  kubectl apply -f "$here/coredns.yaml" >/dev/null
  cat > "$RUN/Corefile" <<C
.:53 {
  bind $ADDRESS
  ready $ADDRESS:8181
  errors
  cache 1
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $RUN/coredns.kubeconfig coredns
    ttl 1
  }
}
C
  spawn coredns "$BIN/coredns" -conf "$RUN/Corefile"
}
