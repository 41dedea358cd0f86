#!/usr/bin/env bash
# engines.sh FOLDER PORT: convoke on MongoDB, RabbitMQ, OpenSearch and Redis, which `scripts/services` started. Databases, vhost,
# index and channels are named after FOLDER, so that each round begins empty.
set -euo pipefail
folder=$1 port=$2
convoke=${CONVOKE_BINARY:?}
name=bench-$(basename "$(dirname "$folder")")-$(basename "$folder")
name=${name//[^a-zA-Z0-9-]/-}
name=${name,,}
begins=false
[[ -e $folder ]] || begins=true
mkdir -p "$folder"
if $begins; then
  curl -sf -X PUT -u "$CONVOKE_TEST_RABBITMQ_USER:$CONVOKE_TEST_RABBITMQ_PASSWORD" -H 'content-type: application/json' -d '{}' \
    "${CONVOKE_TEST_RABBITMQ_MANAGEMENT_URL%/}/api/vhosts/$name"
fi
# Each start has a port of its own.
cat >"$folder/convoke.toml" <<CONF
[engine]
store = "mongodb"
queue = "rabbitmq"
search = "opensearch"
cache = "redis"
[server]
listen = "127.0.0.1:$port"
[webadmin]
listen = "127.0.0.1:0"
[data]
dir = "$folder/data"
[mongodb]
url = "$CONVOKE_TEST_MONGODB_URL"
database = "${name//-/_}"
dav_database = "${name//-/_}_dav"
[rabbitmq]
url = "${CONVOKE_TEST_RABBITMQ_URL%/}/$name"
[opensearch]
urls = ["$CONVOKE_TEST_OPENSEARCH_URL"]
shards = 1
replicas = 0
[opensearch.events]
index = "$name"
read_alias = "$name-read"
write_alias = "$name-write"
[redis]
urls = ["$CONVOKE_TEST_REDIS_URL"]
password = "$CONVOKE_TEST_REDIS_PASSWORD"
bus_name = "$name"
[log]
filter = "warn"
CONF
if $begins; then
  printf 'alice\n' | "$convoke" --config "$folder/convoke.toml" user add alice@example.org --id 6650c0ffee0123456789a11c --password-stdin >/dev/null
fi
exec "$convoke" --config "$folder/convoke.toml" serve
