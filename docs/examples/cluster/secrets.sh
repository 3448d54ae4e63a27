#!/bin/sh
# Makes what coordinator, workers and NATS server need to know each other, in the folder secrets beside this
# file: a token, and a certificate that is its own signer. Git ignores the folder. Secrets that are there stay.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets
[ -s token ] || openssl rand -hex 16 >token
printf 'token: "%s"\n' "$(cat token)" >auth.conf
[ -s tls.key ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 365 \
  -subj /CN=leasestorm-nats -addext subjectAltName=DNS:nats,DNS:leasestorm-nats,DNS:localhost,IP:127.0.0.1 \
  -keyout tls.key -out tls.crt 2>/dev/null
# The user of a container is another than you. Nobody else on this host gets into the folder.
chmod 644 token auth.conf tls.crt tls.key
