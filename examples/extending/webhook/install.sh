#!/bin/sh
# Installs the webhook: a certificate for its Service, the program, and last its registration, which names the authority
# that signed the certificate. Usage: install.sh NAMESPACE
set -eu
cd "$(dirname "$0")"
namespace=$1
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
name=shifts.$namespace.svc
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=shifts-ca" -addext "basicConstraints=critical,CA:TRUE" \
  -keyout "$keys/ca.key" -out "$keys/ca.crt" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$keys/tls.key" -out "$keys/tls.csr" 2>/dev/null
printf 'subjectAltName=DNS:%s\n' "$name" >"$keys/names"
openssl x509 -req -in "$keys/tls.csr" -CA "$keys/ca.crt" -CAkey "$keys/ca.key" -CAcreateserial -days 365 \
  -extfile "$keys/names" -out "$keys/tls.crt" 2>/dev/null
kubectl -n "$namespace" create secret tls shifts --cert="$keys/tls.crt" --key="$keys/tls.key"
kubectl -n "$namespace" create configmap shifts --from-file=webhook.py
kubectl -n "$namespace" apply -f webhook.yaml
kubectl -n "$namespace" rollout status deployment/shifts --timeout=60s
sed -e "s/NAMESPACE/$namespace/" -e "s/CA_BUNDLE/$(base64 -w0 <"$keys/ca.crt")/" registration.yaml | kubectl apply -f -
