# An SMTP server that fails in the way the recipient's address asks for, see smtp-failures/server.py.

install() { python_tools; }

start() {
  python_tools
  local port
  port=$(free_port)
  launch "$PYTHON" "$HERE/smtp-failures/server.py" "$port" "$DATA/maildir"
  await 20 greets "$port"
  publish CONVOKE_TEST_SMTP_FAILURES "127.0.0.1:$port"
  publish CONVOKE_TEST_SMTP_FAILURES_MAILDIR "$DATA/maildir"
}
