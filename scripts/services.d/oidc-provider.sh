# node oidc-provider, a certified OpenID provider; what it is set up to do is in oidc-provider/provider.mjs.

install() {
  have node && have npm || need_packages nodejs npm
  oidc_modules
}

# The modules that package-lock.json pins by hash.
oidc_modules() {
  local lock=$HERE/oidc-provider/package-lock.json stamp
  MODULES=$CACHE/oidc-provider
  stamp=$(sha256sum "$lock" | cut -d' ' -f1)
  [[ $(cat "$MODULES/.stamp" 2>/dev/null) != "$stamp" ]] || return 0
  say "fetch node modules"
  rm -rf "$MODULES"
  mkdir -p "$MODULES"
  cp "$HERE"/oidc-provider/package{,-lock}.json "$MODULES"
  npm ci --prefix "$MODULES" --no-audit --no-fund --loglevel=error >&2
  echo "$stamp" >"$MODULES/.stamp"
}

start() {
  install
  local port
  port=$(free_port)
  cp "$HERE/oidc-provider/provider.mjs" "$MODULES/"
  launch node "$MODULES/provider.mjs" "$port"
  await 30 answers "http://127.0.0.1:$port/.well-known/openid-configuration"

  local prefix=CONVOKE_TEST_OIDC_NODE
  publish ${prefix}_ISSUER "http://127.0.0.1:$port"
  publish ${prefix}_CLIENT_ID convoke
  publish ${prefix}_CLIENT_SECRET convoke-secret
  publish ${prefix}_PUBLIC_CLIENT_ID convoke-page
  publish ${prefix}_JWT_CLIENT_ID convoke-page-jwt
  publish ${prefix}_AUDIENCE convoke-calendar
  publish ${prefix}_REDIRECT_URI http://127.0.0.1:9/callback
  publish ${prefix}_USER alice
  publish ${prefix}_PASSWORD any
  publish ${prefix}_EMAIL alice@example.org
  publish ${prefix}_USER2 bob
  publish ${prefix}_PASSWORD2 any
  publish ${prefix}_EMAIL2 bob@example.org
  publish ${prefix}_CONTROL "http://127.0.0.1:$port/control"
}
