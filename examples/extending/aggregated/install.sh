#!/bin/sh
# Installs the clocks: a certificate for their Service, the authority of the cluster's front proxy, the program, and last
# the APIService that sends requests for the group to it. Usage: install.sh NAMESPACE
set -eu
cd "$(dirname "$0")"
namespace=$1
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
name=clocks.$namespace.svc
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
  -keyout "$keys/tls.key" -out "$keys/tls.crt" 2>/dev/null
kubectl -n kube-system get configmap extension-apiserver-authentication \
  -o 'go-template={{index .data "requestheader-client-ca-file"}}' >"$keys/requestheader-client-ca-file"
kubectl -n "$namespace" create secret tls clocks --cert="$keys/tls.crt" --key="$keys/tls.key"
kubectl -n "$namespace" create configmap front-proxy --from-file="$keys/requestheader-client-ca-file"
kubectl -n "$namespace" create configmap clocks --from-file=clocks.py
kubectl -n "$namespace" apply -f clocks.yaml
kubectl -n "$namespace" rollout status deployment/clocks --timeout=60s
sed -e "s/NAMESPACE/$namespace/" -e "s/CA_BUNDLE/$(base64 -w0 <"$keys/tls.crt")/" apiservice.yaml | kubectl apply -f -
kubectl wait --for=condition=Available apiservice/v1.clocks.example.com --timeout=60s
