#!/bin/sh
# sabre/dav on PHP's own server with four processes and compiled code kept: sabre.sh FOLDER PORT.
set -eu
export SABRE_DATABASE="$1/db.sqlite" PHP_CLI_SERVER_WORKERS=4
program=$(dirname "$0")/../../scripts/services.d/sabre/server.php
if [ ! -e "$SABRE_DATABASE" ]; then
  mkdir -p "$1"
  php "$program"
fi
exec php -d opcache.enable_cli=1 -d display_errors=stderr -S "127.0.0.1:$2" "$program" 2>"$1/log"
