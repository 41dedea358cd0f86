# Xandikos: a CalDAV and CardDAV server that keeps its objects in Git. It asks for no password.

install() { python_tools xandikos; }

start() {
  python_tools xandikos
  local port
  port=$(free_port)
  launch "$PYTHON" -m xandikos serve -d "$DATA/store" --defaults --current-user-principal /alice/ -l 127.0.0.1 -p "$port"
  await 60 answers "http://127.0.0.1:$port/"

  publish CONVOKE_TEST_XANDIKOS_URL "http://127.0.0.1:$port/"
}
