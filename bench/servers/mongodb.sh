#!/usr/bin/env bash
# mongodb.sh FOLDER PORT: convoke with its store in MongoDB, which `scripts/services` started, and all else embedded. The
# databases are named after FOLDER, so that each round begins empty.
set -euo pipefail
folder=$1 port=$2
convoke=${CONVOKE_BINARY:?}
name=bench_$(basename "$(dirname "$folder")")
name=${name//[^a-zA-Z0-9_]/_}
begins=false
[[ -e $folder ]] || begins=true
mkdir -p "$folder"
cat >"$folder/convoke.toml" <<CONF
[engine]
store = "mongodb"
[server]
listen = "127.0.0.1:$port"
[webadmin]
listen = "127.0.0.1:0"
[data]
dir = "$folder/data"
[mongodb]
url = "$CONVOKE_TEST_MONGODB_URL"
database = "$name"
dav_database = "${name}_dav"
[log]
filter = "warn"
CONF
if $begins; then
  printf 'alice\n' | "$convoke" --config "$folder/convoke.toml" user add alice@example.org --id 6650c0ffee0123456789a11c --password-stdin >/dev/null
fi
exec "$convoke" --config "$folder/convoke.toml" serve
