#!/usr/bin/env bash
# Runs client programs against `convoke demo`, started on free ports with a folder of its own.
#
#   tests/clients/run.sh target/debug/convoke
set -euo pipefail

[[ $# -eq 1 ]] || { echo "usage: tests/clients/run.sh BINARY" >&2; exit 2; }
BINARY=$1
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${CONVOKE_TEST_PYTHON:?run: eval \"\$(scripts/services env)\"}"
DATA=$(mktemp -d)
DEMO=

finish() {
  local status=$?
  if [[ -n $DEMO ]]; then kill "$DEMO" 2>/dev/null && wait "$DEMO" || true; fi
  if [[ $status -ne 0 ]]; then echo "--- what the demo said" >&2 && tail -n 40 "$DATA/log" >&2; fi
  rm -rf "$DATA"
}
trap finish EXIT

: >"$DATA/log"
# The demo takes free ports for 0 and prints the addresses it has.
"$BINARY" demo --data "$DATA/convoke" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --demo-listen 127.0.0.1:0 >"$DATA/log" 2>&1 &
DEMO=$!
for _ in {1..600}; do
  URL=$(sed -nE 's|.*calendars, REST +(http://[^ ]+/).*|\1|p' "$DATA/log")
  [[ -z $URL ]] || break
  kill -0 "$DEMO" || exit 1
  sleep 0.05
done
[[ -n $URL ]] || { echo "the demo does not say where it is" >&2; exit 1; }

"$HERE/vdirsyncer/calendars.sh" "$URL" alice@example.org alice
"$HERE/vdirsyncer/contacts.sh" "$URL" alice@example.org alice
if [[ -n ${CONVOKE_TEST_RADICALE_URL:-} ]]; then
  "$HERE/vdirsyncer/servers.sh" "$URL" alice@example.org alice \
    "$CONVOKE_TEST_RADICALE_URL" "$CONVOKE_TEST_RADICALE_USER" "$CONVOKE_TEST_RADICALE_PASSWORD"
fi
"$CONVOKE_TEST_PYTHON" "$HERE/caldav_client.py" "$URL" bob@example.org bob
"$HERE/litmus.sh" "$URL" carol@example.org carol
