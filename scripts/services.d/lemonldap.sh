# LemonLDAP::NG 2.21, an OpenID provider in Perl. Its demonstration accounts dwho, rtyler and msmith (the password is the
# name) are given the addresses of alice, bob and carol of example.org. Debian 12 itself has 2.16, which is too old; the
# newer one comes from its backports by lists of our own, so that the lists of the system stay as they are.

LEMONLDAP_PACKAGES=(lemonldap-ng-fastcgi-server liblemonldap-ng-portal-perl)
# Recommended by the above and needed by what the tests do.
LEMONLDAP_LIBRARIES=(libconvert-pem-perl libcookie-baker-xs-perl libcrypt-jwt-perl libemail-address-xs-perl libemail-sender-perl
  libhttp-parser-xs-perl libio-string-perl libmime-tools-perl libstring-random-perl)

install() {
  if uses_container plackup; then build_image "$(packages_in_image)" && return; fi
  ! lemonldap_is_there || return 0
  may_install "${LEMONLDAP_PACKAGES[@]}" "${LEMONLDAP_LIBRARIES[@]}" "(version 2.18 or newer, from bookworm-backports on Debian 12)"
  if is_new_enough "$(apt-cache policy liblemonldap-ng-portal-perl | sed -n 's/ *Candidate: //p')"; then
    refresh_packages
    quietly_install "${LEMONLDAP_PACKAGES[@]}" "${LEMONLDAP_LIBRARIES[@]}"
  else
    install_from_backports
  fi
  lemonldap_is_there || fail "the packages of LemonLDAP::NG are older than 2.18"
}

lemonldap_is_there() {
  have plackup && is_new_enough "$(dpkg-query -W -f '${Version}' liblemonldap-ng-portal-perl 2>/dev/null)"
}

is_new_enough() { [[ -n $1 ]] && dpkg --compare-versions "$1" ge 2.18; }

packages_in_image() {
  echo "echo 'deb http://deb.debian.org/debian bookworm-backports main' >/etc/apt/sources.list.d/backports.list && apt-get update &&" \
    "apt-get install -y --no-install-recommends -t bookworm-backports ${LEMONLDAP_PACKAGES[*]} ${LEMONLDAP_LIBRARIES[*]}"
}

install_from_backports() {
  local lists=$CACHE/apt mirror
  mkdir -p "$lists"/{sources,state/partial}
  find /etc/apt/sources.list.d -maxdepth 1 \( -name '*.sources' -o -name '*.list' \) -exec grep -l debian {} + | xargs -r cp -t "$lists/sources"
  [[ ! -s /etc/apt/sources.list ]] || cp /etc/apt/sources.list "$lists/sources/system.list"
  mirror=$(apt-cache policy | sed -nE '\%^ .* https?://[^ ]+/debian [a-z]%{s%.* (https?://[^ ]+/debian) .*%\1%p;q}')
  cat >"$lists/sources/backports.sources" <<CONF
Types: deb
URIs: ${mirror:-http://deb.debian.org/debian}
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
CONF
  local own=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$lists/sources" -o "Dir::State::lists=$lists/state"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
  apt-get "${own[@]}" update -q >&2
  quietly_install "${own[@]}" -t bookworm-backports "${LEMONLDAP_PACKAGES[@]}" "${LEMONLDAP_LIBRARIES[@]}"
}

start() {
  install
  choose_runner plackup www-data
  local port
  port=$(free_port)
  PORTAL=http://127.0.0.1:$port
  mkdir -p "$DATA"/{conf,sessions/lock,persistent/lock,cache}
  ini >"$DATA/lemonldap-ng.ini"
  configuration >"$DATA/conf/lmConf-1.json"
  RUN+=(env "LLNG_DEFAULTCONFFILE=$DATA/lemonldap-ng.ini" "HOME=$DATA")
  printf '#!/bin/sh\nexec %s /usr/share/lemonldap-ng/bin/rotateOidcKeys\n' "${RUN[*]}" >"$DATA/rotate"
  chmod 755 "$DATA/rotate"
  hand_over "$DATA"
  # The first run makes the next key, the second makes it the current one.
  { "$DATA/rotate" && "$DATA/rotate"; } >>"$STATE/$NAME.log" 2>&1 || explain "could not make its keys"

  launch "${RUN[@]}" plackup -E deployment --host 127.0.0.1 --port "$port" /usr/share/lemonldap-ng/portal/htdocs/index.psgi
  await 60 answers "$PORTAL/.well-known/openid-configuration"

  local prefix=CONVOKE_TEST_OIDC_LEMONLDAP
  publish ${prefix}_ISSUER "$PORTAL"
  publish ${prefix}_CLIENT_ID convoke
  publish ${prefix}_CLIENT_SECRET convoke-secret
  publish ${prefix}_PUBLIC_CLIENT_ID convoke-page
  publish ${prefix}_JWT_CLIENT_ID convoke-page-jwt
  publish ${prefix}_AUDIENCE convoke-calendar
  publish ${prefix}_REDIRECT_URI http://127.0.0.1:9/callback
  publish ${prefix}_USER dwho
  publish ${prefix}_PASSWORD dwho
  publish ${prefix}_EMAIL alice@example.org
  publish ${prefix}_USER2 rtyler
  publish ${prefix}_PASSWORD2 rtyler
  publish ${prefix}_EMAIL2 bob@example.org
  publish ${prefix}_ROTATE "$DATA/rotate"
}

ini() {
  cat <<CONF
[all]
logLevel = warn
checkTime = 1
[configuration]
type = File
dirName = $DATA/conf
localStorage = Cache::FileCache
localStorageOptions = { 'namespace' => 'config', 'default_expires_in' => 1, 'cache_root' => '$DATA/cache', 'cache_depth' => 1 }
[portal]
staticPrefix = /static
templateDir = /usr/share/lemonldap-ng/portal/templates
languages = en, fr
CONF
}

configuration() {
  cat <<CONF
{
  "cfgNum": 1, "cfgAuthor": "test", "cfgDate": "1", "cfgVersion": "2.21.0", "checkTime": 1, "checkMsg": 1,
  "portal": "$PORTAL/", "domain": "127.0.0.1", "securedCookie": 0, "key": "0123456789abcdef", "https": 0, "requireToken": 0,
  "authentication": "Demo", "userDB": "Same", "passwordDB": "Null", "registerDB": "Null", "captcha_mail_enabled": 0, "captcha_register_enabled": 0,
  "loginHistoryEnabled": 0,
  "demoExportedVars": {"uid": "uid", "cn": "cn"},
  "macros": {
    "_whatToTrace": "\$uid",
    "address": "{dwho => 'alice@example.org', rtyler => 'bob@example.org', msmith => 'carol@example.org'}->{\$uid}"
  },
  "locationRules": {"127.0.0.1": {"default": "accept"}},
  "globalStorage": "Apache::Session::File",
  "globalStorageOptions": {
    "Directory": "$DATA/sessions", "LockDirectory": "$DATA/sessions/lock",
    "generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256"
  },
  "persistentStorage": "Apache::Session::File",
  "persistentStorageOptions": {"Directory": "$DATA/persistent", "LockDirectory": "$DATA/persistent/lock"},
  "localSessionStorage": "Cache::FileCache",
  "localSessionStorageOptions": {
    "namespace": "sessions", "default_expires_in": 600, "cache_root": "$DATA/cache", "cache_depth": 1, "directory_umask": "007"
  },
  "issuerDBOpenIDConnectActivation": 1,
  "oidcServiceMetaDataIssuer": "$PORTAL",
  "oidcServiceAllowAuthorizationCodeFlow": 1,
  "oidcServiceKeyTypeSig": "RSA",
  "oidcRPMetaDataOptions": {
    "service": {$(relying_party convoke 0 0), "oidcRPMetaDataOptionsClientSecret": "convoke-secret"},
    "page": {$(relying_party convoke-page 1 0)},
    "page-jwt": {$(relying_party convoke-page-jwt 1 1)}
  },
  "oidcRPMetaDataExportedVars": {"service": {$(claims)}, "page": {$(claims)}, "page-jwt": {$(claims)}}
}
CONF
}

# relying_party CLIENT PUBLIC JWT: the options of one, as JSON members.
relying_party() {
  cat <<CONF
      "oidcRPMetaDataOptionsClientID": "$1",
      "oidcRPMetaDataOptionsPublic": $2,
      "oidcRPMetaDataOptionsRequirePKCE": $2,
      "oidcRPMetaDataOptionsAccessTokenJWT": $3,
      "oidcRPMetaDataOptionsAccessTokenClaims": $3,
      "oidcRPMetaDataOptionsAccessTokenSignAlg": "RS256",
      "oidcRPMetaDataOptionsAdditionalAudiences": "convoke-calendar",
      "oidcRPMetaDataOptionsIDTokenSignAlg": "RS256",
      "oidcRPMetaDataOptionsIDTokenForceClaims": 1,
      "oidcRPMetaDataOptionsUserIDAttr": "uid",
      "oidcRPMetaDataOptionsBypassConsent": 1,
      "oidcRPMetaDataOptionsRefreshToken": 1,
      "oidcRPMetaDataOptionsLogoutBypassConfirm": 1,
      "oidcRPMetaDataOptionsRedirectUris": "http://127.0.0.1:9/callback",
      "oidcRPMetaDataOptionsPostLogoutRedirectUris": "http://127.0.0.1:9/bye"
CONF
}

claims() { echo '"email": "address", "name": "cn", "preferred_username": "uid"'; }
