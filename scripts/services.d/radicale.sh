# Radicale: a small CalDAV server, as the upstream of the proxy. Two of them: one with passwords, one that trusts the
# header of a proxy.

install() { python_tools; }

start() {
  python_tools
  local port proxied
  port=$(free_port)
  proxied=$(free_port)

  printf '%s:secret\n' alice@example.org bob@example.org carol@example.org >"$DATA/users"
  radicale direct "$port" htpasswd
  await 30 answers "http://127.0.0.1:$port/.web/"
  radicale proxied "$proxied" http_x_remote_user
  await 30 answers "http://127.0.0.1:$proxied/.web/"

  publish CONVOKE_TEST_RADICALE_URL "http://127.0.0.1:$port/"
  publish CONVOKE_TEST_RADICALE_USER alice@example.org
  publish CONVOKE_TEST_RADICALE_PASSWORD secret
  publish CONVOKE_TEST_RADICALE_PROXIED_URL "http://127.0.0.1:$proxied/"
}

# radicale NAME PORT AUTH
radicale() {
  cat >"$DATA/$1.conf" <<CONF
[server]
hosts = 127.0.0.1:$2
max_connections = 50
[auth]
type = $3
htpasswd_filename = $DATA/users
htpasswd_encryption = plain
delay = 0
[rights]
type = owner_only
[storage]
filesystem_folder = $DATA/$1
[logging]
level = warning
CONF
  AS=$1 launch "$PYTHON" -m radicale --config "$DATA/$1.conf"
}
