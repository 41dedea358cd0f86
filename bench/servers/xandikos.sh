#!/bin/sh
# Xandikos as delivered, with one account and no password: xandikos.sh FOLDER PORT. Needs $XANDIKOS_PYTHON.
set -eu
mkdir -p "$1"
exec "$XANDIKOS_PYTHON" -m xandikos serve -d "$1/store" --defaults --current-user-principal /alice/ -l 127.0.0.1 -p "$2" 2>"$1/log"
