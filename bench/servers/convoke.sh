#!/bin/sh
# convoke with everything embedded, as delivered: convoke.sh FOLDER PORT. Needs $CONVOKE_BINARY.
set -eu
mkdir -p "$1"
exec "$CONVOKE_BINARY" demo --data "$1/data" --listen "127.0.0.1:$2" --admin-listen 127.0.0.1:0 --demo-listen 127.0.0.1:0 \
  --log error >"$1/log" 2>&1
