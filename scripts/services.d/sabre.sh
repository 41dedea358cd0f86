# sabre/dav as Debian has it, on PHP's own server: what Baïkal, Nextcloud and esn-sabre are built on, in an early version.

SABRE_PACKAGES=(php-cli php-sqlite3 php-xml php-mbstring php-sabre-dav)

install() {
  uses_container php && { build_image "apt-get update && apt-get install -y --no-install-recommends ${SABRE_PACKAGES[*]}"; return; }
  need_packages "${SABRE_PACKAGES[@]}"
}

start() {
  install
  choose_runner php nobody
  hand_over "$DATA"
  local port serve
  port=$(free_port)
  # The program itself: a container sees no other folder than that of the service.
  cp "$HERE/sabre/server.php" "$DATA/server.php"
  chmod 644 "$DATA/server.php"
  serve=(env SABRE_DATABASE="$DATA/db.sqlite" PHP_CLI_SERVER_WORKERS=4 php)
  "${RUN[@]}" "${serve[@]}" "$DATA/server.php"
  launch "${RUN[@]}" "${serve[@]}" -d display_errors=stderr -d opcache.enable_cli=1 -S "127.0.0.1:$port" "$DATA/server.php"
  # Without a password it says 401, which is an answer too.
  await 30 listens "$port"

  publish CONVOKE_TEST_SABRE_URL "http://127.0.0.1:$port/"
  publish CONVOKE_TEST_SABRE_USER alice
  publish CONVOKE_TEST_SABRE_PASSWORD secret
}
