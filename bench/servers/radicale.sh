#!/bin/sh
# Radicale as delivered, with one account: radicale.sh FOLDER PORT. Needs $CONVOKE_TEST_PYTHON.
set -eu
mkdir -p "$1"
echo secret >"$1/password"
echo alice:secret >"$1/users"
cat >"$1/radicale.conf" <<CONF
[server]
hosts = 127.0.0.1:$2
max_connections = 50
[auth]
type = htpasswd
htpasswd_filename = $1/users
htpasswd_encryption = plain
delay = 0
[rights]
type = owner_only
[storage]
filesystem_folder = $1/collections
[logging]
level = warning
CONF
exec "$CONVOKE_TEST_PYTHON" -m radicale --config "$1/radicale.conf" 2>"$1/log"
