# Keys, certificates and kubeconfigs of one run. Sourced by init.sh.

pki() {
  mkdir -p "$RUN/pki"
  local k=$RUN/pki name
  openssl ecparam -name prime256v1 -genkey -noout -out "$k/ca.key"
  openssl req -x509 -new -key "$k/ca.key" -subj /CN=banyan-test-cluster -days 30 -out "$k/ca.crt" \
    -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  certificate apiserver /CN=kube-apiserver "extendedKeyUsage=serverAuth
subjectAltName=IP:$ADDRESS,IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  client admin /O=system:masters/CN=admin
  client controller-manager /CN=system:kube-controller-manager
  client scheduler /CN=system:kube-scheduler
  client proxy /CN=system:kube-proxy
  client coredns /CN=coredns
  for name in $(seq "$NODES"); do client "n$name" "/O=system:nodes/CN=system:node:n$name"; done
  openssl ecparam -name prime256v1 -genkey -noout -out "$k/accounts.key"
  openssl ec -in "$k/accounts.key" -pubout -out "$k/accounts.pub" 2>/dev/null
}

# certificate NAME SUBJECT EXTENSIONS
certificate() {
  local k=$RUN/pki
  openssl ecparam -name prime256v1 -genkey -noout -out "$k/$1.key"
  openssl req -new -key "$k/$1.key" -subj "$2" 2>/dev/null |
    openssl x509 -req -CA "$k/ca.crt" -CAkey "$k/ca.key" -CAcreateserial -days 30 -out "$k/$1.crt" \
      -extfile <(printf '%s\n' "$3") 2>/dev/null
}

# client NAME SUBJECT: a certificate for a client, and its kubeconfig
client() {
  certificate "$1" "$2" extendedKeyUsage=clientAuth
  cat > "$RUN/$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: banyan-test, cluster: {server: "https://$ADDRESS:6443", certificate-authority: $RUN/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $RUN/pki/$1.crt, client-key: $RUN/pki/$1.key}}]
contexts: [{name: $1, context: {cluster: banyan-test, user: $1}}]
current-context: $1
K
}
