#!/bin/sh
# Creates the secrets of a trial in secrets/ beside this file. Existing secrets stay. Requires openssl and latchkey
# (`npm ci && npm run build`).
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets
secret() { openssl rand -hex 32; }
[ -e keys.json ] || "${LATCHKEY:-../../../../dist/src/cli/main.js}" keys generate --into keys.json
[ -e refresh-secret ] || secret > refresh-secret
[ -e data-secret ] || secret > data-secret
[ -e client ] || echo "demo:$(secret)" > client
[ -e postgres-password ] || secret > postgres-password
[ -e redis-auth.conf ] || echo "requirepass $(secret)" > redis-auth.conf
[ -e database-url ] || echo "postgres://latchkey:$(cat postgres-password)@postgres:5432/latchkey" > database-url
[ -e redis-url ] || echo "redis://:$(cut -d' ' -f2 redis-auth.conf)@redis:6379" > redis-url
echo "The secrets are in $(pwd). Next: kubectl apply -k k8s/overlays/trial"
