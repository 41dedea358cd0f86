#!/usr/bin/env bash
# Runs litmus, the test suite of WebDAV servers, whole (basic, copymove, props, locks, http) against a person's plain files.
#
#   tests/clients/litmus.sh URL USER PASSWORD
#
# Needs litmus (scripts/services start clients, or the Debian package) and curl.
set -euo pipefail

[[ $# -eq 3 ]] || { echo "usage: tests/clients/litmus.sh URL USER PASSWORD" >&2; exit 2; }
URL=${1%/} LOGIN=$2 PASSWORD=$3
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
# litmus leaves its log where it is started.
cd "$WORK"

# Everybody is told of one home, their own; the path below the host is the server's to say.
FOUND=$(curl --silent --show-error --fail --user "$LOGIN:$PASSWORD" --request PROPFIND --header 'Depth: 1' "$URL/files/")
HOME_PATH=$(grep -oE '<d:href>[^<]*/files/[0-9a-f]{24}/</d:href>' <<<"$FOUND" | head -n 1 | sed 's|</*d:href>||g')
[[ -n $HOME_PATH ]] || { echo "litmus: no home below $URL/files/: $FOUND" >&2; exit 1; }
HOST=$(sed -E 's|^([a-z]+://[^/]+).*|\1|' <<<"$URL")

if ! litmus --keep-going "$HOST$HOME_PATH" "$LOGIN" "$PASSWORD" >"$WORK/out" 2>&1; then FAILED=1; fi
# Where it goes on after a failure, its status says nothing of that.
if [[ -n ${FAILED:-} ]] || grep -qE 'FAIL|SKIPPED' "$WORK/out" || [[ $(grep -cE '0 failed' "$WORK/out") -ne 5 ]]; then
  cat "$WORK/out" >&2
  echo "litmus: not all of it passes" >&2
  exit 1
fi
grep -E '^<- summary' "$WORK/out"
echo "litmus: all is well"
