# RabbitMQ: the broker that esn-sabre publishes on, with its management plugin. Tests keep apart by a vhost of their own, made
# through the management API.

install() {
  have openssl || need_packages openssl
  if uses_container rabbitmq-server; then
    build_image 'apt-get update && apt-get install -y --no-install-recommends rabbitmq-server'
  else
    have rabbitmq-server || need_packages rabbitmq-server
  fi
}

start() {
  install
  choose_runner rabbitmq-server rabbitmq
  local amqp amqps management distribution epmd
  amqp=$(free_port)
  amqps=$(free_port)
  management=$(free_port)
  distribution=$(free_port)
  epmd=$(free_port)
  mkdir -p "$DATA"/{home,mnesia,log}
  certificates
  configuration >"$DATA/rabbitmq.conf"
  echo '[rabbitmq_management].' >"$DATA/enabled_plugins"
  program /usr/lib/rabbitmq/bin/rabbitmq-server >"$DATA/start"
  program /usr/lib/rabbitmq/bin/rabbitmqctl >"$DATA/control"
  printf '#!/bin/sh\nexec %s "$@"\n' "${RUN[*]} $DATA/control" >"$DATA/ctl"
  chmod 755 "$DATA"/{start,control,ctl}
  hand_over "$DATA"/{home,mnesia,log,server.key,client.key,enabled_plugins}

  # The port mapper of Erlang is a daemon that a node starts by itself and leaves behind: one of our own is stopped with the rest.
  launch "${RUN[@]}" epmd -port "$epmd" -address 127.0.0.1
  await 20 listens "$epmd"
  launch "${RUN[@]}" "$DATA/start"
  await 120 serves "$amqp"
  await 60 serves "$amqps"

  publish CONVOKE_TEST_RABBITMQ_URL "amqp://guest:guest@127.0.0.1:$amqp"
  publish CONVOKE_TEST_RABBITMQ_TLS_URL "amqps://guest:guest@localhost:$amqps"
  publish CONVOKE_TEST_RABBITMQ_CA "$DATA/ca.pem"
  publish CONVOKE_TEST_RABBITMQ_CLIENT "$DATA/client.pem"
  publish CONVOKE_TEST_RABBITMQ_MANAGEMENT_URL "http://127.0.0.1:$management"
  publish CONVOKE_TEST_RABBITMQ_CTL "$DATA/ctl"
  publish CONVOKE_TEST_RABBITMQ_USER guest
  publish CONVOKE_TEST_RABBITMQ_PASSWORD guest
}

# serves PORT: the node says that it listens there.
serves() {
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$management" || return 1
  printf 'GET /api/health/checks/port-listener/%s HTTP/1.0\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n' "$1" >&3
  read -r -t 5 line <&3
  exec 3>&-
  [[ $line == *' 200 '* ]]
}

# An authority of its own; a certificate of it for localhost, and one for a client. client.pem holds certificate and key.
certificates() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  openssl req -x509 "${key[@]}" -days 30 -subj "/CN=convoke test authority" -keyout "$DATA/ca.key" -out "$DATA/ca.pem" 2>/dev/null
  sign server localhost 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n'
  sign client convoke 'extendedKeyUsage=clientAuth\n'
  cat "$DATA/client.key" >>"$DATA/client.pem"
}

# sign NAME SUBJECT EXTENSIONS
sign() {
  openssl req "${key[@]}" -subj "/CN=$2" -keyout "$DATA/$1.key" -out "$DATA/$1.csr" 2>/dev/null
  # shellcheck disable=SC2059
  openssl x509 -req -days 30 -in "$DATA/$1.csr" -CA "$DATA/ca.pem" -CAkey "$DATA/ca.key" -CAcreateserial -out "$DATA/$1.pem" \
    -extfile <(printf "$3") 2>/dev/null
}

configuration() {
  cat <<CONF
listeners.tcp.1 = 127.0.0.1:$amqp
listeners.ssl.1 = 127.0.0.1:$amqps
ssl_options.cacertfile = $DATA/ca.pem
ssl_options.certfile = $DATA/server.pem
ssl_options.keyfile = $DATA/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
management.tcp.ip = 127.0.0.1
management.tcp.port = $management
loopback_users.guest = true
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.4
collect_statistics_interval = 1000
log.console = true
log.console.level = warning
log.file = false
CONF
}

# program PATH: a script that runs it for this node, past Debian's wrapper, which wants to be root or its own user and reads /etc.
program() {
  cat <<SCRIPT
#!/bin/sh
export HOME=$DATA/home RABBITMQ_NODENAME=convoke$amqp@localhost RABBITMQ_DIST_PORT=$distribution
export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$amqp
export RABBITMQ_CONFIG_FILE=$DATA/rabbitmq RABBITMQ_ENABLED_PLUGINS_FILE=$DATA/enabled_plugins
export RABBITMQ_MNESIA_BASE=$DATA/mnesia RABBITMQ_LOG_BASE=$DATA/log RABBITMQ_LOGS=- RABBITMQ_CONF_ENV_FILE=/dev/null
export ERL_EPMD_PORT=$epmd ERL_EPMD_ADDRESS=127.0.0.1
# One scheduler that sleeps when idle: the machine is shared with other engines.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
exec $1 "\$@"
SCRIPT
}
