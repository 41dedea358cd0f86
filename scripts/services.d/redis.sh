# Redis: one server with a password; one that speaks TLS only; a master and a replica under three sentinels; a cluster of
# three masters. Each process has a name, so that a fault can hit it alone. What was written survives a kill.

REDIS_PASSWORD=secret
REDIS_MASTER_NAME=convoke

install() {
  have openssl || need_packages openssl
  if uses_container redis-server; then
    build_image 'apt-get update && apt-get install -y --no-install-recommends redis-server redis-sentinel'
  else
    have redis-server || need_packages redis-server
  fi
}

start() {
  install
  choose_runner redis-server redis
  local alone tls master replica node sentinels=() cluster=() buses=() urls
  certificate
  hand_over "$DATA" "$DATA/server.key"

  # The cluster first: it takes two seconds until it accepts writes.
  for node in 0 1 2; do
    cluster+=("$(free_port)")
    buses+=("$(free_port)")
    server "cluster-$node" --port "${cluster[node]}" --cluster-enabled yes --cluster-port "${buses[node]}" \
      --cluster-node-timeout 1000 --cluster-require-full-coverage no
    await 20 pongs "${cluster[node]}"
  done
  make_cluster

  alone=$(free_port)
  server standalone --port "$alone"
  await 20 pongs "$alone"
  tls=$(free_port)
  server tls --port 0 --tls-port "$tls" --tls-auth-clients no \
    --tls-cert-file "$DATA/server.pem" --tls-key-file "$DATA/server.key" --tls-ca-cert-file "$DATA/ca.pem"
  await 20 listens "$tls"

  master=$(free_port)
  server master --port "$master" --repl-diskless-sync-delay 0
  await 20 pongs "$master"
  replica=$(free_port)
  server replica --port "$replica" --replicaof 127.0.0.1 "$master"
  await 20 says "$replica" 'INFO replication' 'master_link_status:up|role:master'
  for node in 0 1 2; do sentinels+=("$(free_port)"); done
  for node in 0 1 2; do
    sentinel "$node"
    await 20 says "${sentinels[node]}" "SENTINEL CKQUORUM $REDIS_MASTER_NAME" '\+OK'
  done

  for node in 0 1 2; do is_ready 20 says "${cluster[node]}" 'CLUSTER INFO' 'cluster_state:ok'; done

  publish CONVOKE_TEST_REDIS_URL "redis://127.0.0.1:$alone"
  publish CONVOKE_TEST_REDIS_TLS_URL "rediss://127.0.0.1:$tls"
  publish CONVOKE_TEST_REDIS_CA "$DATA/ca.pem"
  printf -v urls 'redis://127.0.0.1:%s,' "${sentinels[@]}"
  publish CONVOKE_TEST_REDIS_SENTINEL_URLS "${urls%,}"
  publish CONVOKE_TEST_REDIS_SENTINEL_MASTER "$REDIS_MASTER_NAME"
  publish CONVOKE_TEST_REDIS_SENTINEL_SERVERS "127.0.0.1:$master,127.0.0.1:$replica"
  printf -v urls 'redis://127.0.0.1:%s,' "${cluster[@]}"
  publish CONVOKE_TEST_REDIS_CLUSTER_URLS "${urls%,}"
  publish CONVOKE_TEST_REDIS_PASSWORD "$REDIS_PASSWORD"
}

# server NAME OPTION…: a redis-server of that name.
server() {
  mkdir -p "$DATA/$1"
  hand_over "$DATA/$1"
  AS=$1 launch "${RUN[@]}" redis-server --bind 127.0.0.1 --dir "$DATA/$1" --save '' --appendonly yes --appendfsync no \
    --enable-debug-command local --requirepass "$REDIS_PASSWORD" --masterauth "$REDIS_PASSWORD" "${@:2}"
}

# sentinel N: the N-th of ${sentinels[@]}. It is told of the others, which it would find out within seconds.
sentinel() {
  local folder=$DATA/sentinel-$1 other
  mkdir -p "$folder"
  {
    echo "bind 127.0.0.1"
    echo "port ${sentinels[$1]}"
    echo "dir $folder"
    echo "requirepass $REDIS_PASSWORD"
    echo "sentinel sentinel-pass $REDIS_PASSWORD"
    echo "sentinel myid $(sentinel_id "$1")"
    echo "sentinel monitor $REDIS_MASTER_NAME 127.0.0.1 $master 2"
    echo "sentinel auth-pass $REDIS_MASTER_NAME $REDIS_PASSWORD"
    echo "sentinel down-after-milliseconds $REDIS_MASTER_NAME 2000"
    echo "sentinel failover-timeout $REDIS_MASTER_NAME 3000"
    echo "sentinel known-replica $REDIS_MASTER_NAME 127.0.0.1 $replica"
    for other in 0 1 2; do
      [[ $other == "$1" ]] || echo "sentinel known-sentinel $REDIS_MASTER_NAME 127.0.0.1 ${sentinels[other]} $(sentinel_id "$other")"
    done
  } >"$folder/sentinel.conf"
  hand_over "$folder" "$folder/sentinel.conf"
  AS=sentinel-$1 launch "${RUN[@]}" redis-server "$folder/sentinel.conf" --sentinel
}

# says PORT COMMAND PATTERN: a line of the answer matches.
says() {
  local line found=1
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'AUTH %s\r\n%s\r\nQUIT\r\n' "$REDIS_PASSWORD" "$2" >&3
  # Sentinels do not know QUIT, so that the end of an answer without such a line is a second of silence.
  while read -r -t 1 line <&3; do
    if [[ $line =~ $3 ]]; then found=0 && break; fi
  done
  exec 3>&-
  return $found
}

pongs() { says "$1" PING '\+PONG'; }

sentinel_id() { printf "%040x" "$((0xc0 + $1))"; }

# Makes one cluster of the nodes ${cluster[@]}.
make_cluster() {
  local node first=0 last
  for node in 0 1 2; do
    last=$((16384 * (node + 1) / 3 - 1))
    says "${cluster[node]}" "CLUSTER ADDSLOTSRANGE $first $last" '\+OK' || explain "cannot share out the slots of its cluster"
    says "${cluster[node]}" "CLUSTER SET-CONFIG-EPOCH $((node + 1))" '\+OK' || explain "cannot number the nodes of its cluster"
    first=$((last + 1))
  done
  for node in 1 2; do
    says "${cluster[0]}" "CLUSTER MEET 127.0.0.1 ${cluster[node]} ${buses[node]}" '\+OK' || explain "cannot make its cluster"
  done
}
