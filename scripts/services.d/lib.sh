# The vocabulary of scripts/services.d/*.sh. In a service's functions:
#   NAME   the service           HERE   scripts/services.d     CACHE  downloads, kept
#   DATA   its temporary folder  STATE  what is known of running services
#   RUN    what goes before a command that belongs to a service's Debian packages; see choose_runner
#   OWNER, GROUP  the ids that such a command runs as

# Where Debian keeps servers; not everybody's path has it.
PATH=$PATH:/usr/sbin:/sbin

say() { echo "services: $*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- installing -----------------------------------------------------------------------------------------------------

# need_packages PACKAGE…: Debian packages, installed when we are root. Never removes a package.
need_packages() {
  local missing=() package
  for package in "$@"; do is_installed "${package%%/*}" || missing+=("$package"); done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  may_install "${missing[@]}"
  refresh_packages
  quietly_install "${missing[@]}"
}

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

may_install() {
  have apt-get || fail "$NAME needs these Debian packages (or what they are called here): $*"
  [[ $(id -u) -eq 0 ]] || fail "$NAME needs packages; run as root: apt-get install --no-install-recommends $*"
}

# Reads the lists of packages, once in a run.
refresh_packages() {
  [[ -z ${PACKAGES_ARE_FRESH:-} ]] || return 0
  apt-get -o Acquire::Retries=3 update -q >&2
  PACKAGES_ARE_FRESH=1
}

# apt-get install with the given arguments; the services of the packages themselves are not started.
quietly_install() {
  local hold=/usr/sbin/policy-rc.d held='' status=0
  if [[ ! -e $hold ]]; then
    printf '#!/bin/sh\nexit 101\n' >$hold
    chmod 755 $hold
    held=1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -q -y --no-remove --no-install-recommends "$@" >&2 || status=$?
  [[ -z $held ]] || rm -f $hold
  return $status
}

# The Python tools of the tests, in one venv, pinned by hash.
python_tools() {
  local wanted=$HERE/clients/requirements.txt venv=$CACHE/python stamp
  stamp=$(sha256sum "$wanted" | cut -d' ' -f1)
  PYTHON=$venv/bin/python
  [[ $(cat "$venv/.stamp" 2>/dev/null) != "$stamp" ]] || return 0
  local python
  python=$(a_python) || { need_packages python3-venv && python=$(a_python); } || fail "no Python of at least 3.11 with venv"
  say "fetch Python packages"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$PYTHON" -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "$wanted" >&2
  echo "$stamp" >"$venv/.stamp"
}

a_python() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$python" && return
    fi
  done
  return 1
}

# --- where engines from Debian packages run ---------------------------------------------------------------------------

# uses_container PROGRAM: Docker runs and the program is not installed, or containers are asked for.
uses_container() {
  case ${CONVOKE_SERVICES_IN:-} in
    native) return 1 ;;
    docker) ;;
    *) ! have "$1" || return 1 ;;
  esac
  have docker && docker info >/dev/null 2>&1
}

# build_image COMMAND: an image of Debian after that command of its shell; Docker keeps it.
build_image() {
  printf 'FROM debian:bookworm-slim\nRUN %s\n' "$1" | docker build --quiet --tag "convoke-test-$NAME" - >&2
}

# choose_runner PROGRAM USER: sets RUN, OWNER and GROUP. In a container, and where we are not root, a service runs as we do; where
# we are, as USER. A container shares our network and the folder of the service, so that nothing else differs.
choose_runner() {
  RUN=()
  OWNER=$(id -u)
  GROUP=$(id -g)
  if uses_container "$1"; then
    if [[ $OWNER -eq 0 ]]; then OWNER=65534 GROUP=65534; fi
    RUN=(docker run --rm --init --network host --user "$OWNER:$GROUP" --volume "$DATA:$DATA" "convoke-test-$NAME")
  elif [[ $OWNER -eq 0 ]]; then
    OWNER=$(id -u "$2")
    GROUP=$(id -g "$2")
    RUN=(setpriv "--reuid=$OWNER" "--regid=$GROUP" --clear-groups)
  fi
}

# hand_over PATH…: to OWNER, where we are root.
hand_over() { [[ $(id -u) -ne 0 ]] || chown -R "$OWNER:$GROUP" "$@"; }

# --- starting -------------------------------------------------------------------------------------------------------

# A port of 127.0.0.1 that nobody listens on and that was not handed out before. Below the range of outgoing connections.
free_port() {
  local port
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    listens "$port" || grep -qsx "$port" "$STATE/ports" || break
  done
  echo "$port" >>"$STATE/ports"
  echo "$port"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A new folder in memory where there is room, for the speed; readable by the user that a service runs as.
new_data_folder() {
  local base=${TMPDIR:-/tmp} folder
  if [[ -w /dev/shm && $(df --output=avail /dev/shm 2>/dev/null | tail -1) -gt 1000000 ]]; then base=/dev/shm; fi
  folder=$(mktemp -d "$base/convoke-$NAME.XXXXXX")
  chmod 755 "$folder"
  echo "$folder"
}

# launch COMMAND…: starts a process of this service in a group of its own and remembers it.
launch() {
  setsid "$@" >>"$STATE/$NAME.log" 2>&1 </dev/null &
  LAUNCHED=$!
  disown "$LAUNCHED"
  echo "$LAUNCHED $(started_at "$LAUNCHED")" >>"$STATE/$NAME.pids"
}

# await SECONDS COMMAND…: until the command succeeds; fails early when the launched process is gone.
await() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if ! is_alive "$LAUNCHED"; then explain "ended by itself"; fi
    if ((SECONDS >= end)); then explain "is not ready in time: $*"; fi
    sleep 0.05
  done
}

explain() {
  tail -n 12 "$STATE/$NAME.log" | cut -c1-200 | sed "s/^/  /" >&2
  fail "$NAME $1 (log: $STATE/$NAME.log)"
}

# answers URL: something with a status of 200 to 399 is there.
answers() {
  local hostport=${1#http://} line
  hostport=${hostport%%/*}
  exec 3<>"/dev/tcp/${hostport%:*}/${hostport#*:}" || return 1
  printf 'GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n' "${1#http://*/}" "$hostport" >&3
  read -r -t 5 line <&3
  exec 3>&-
  [[ $line =~ ^HTTP/1\.[01]\ [23] ]]
}

# greets PORT: an SMTP server says 220.
greets() {
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  read -r -t 5 line <&3
  printf 'QUIT\r\n' >&3
  exec 3>&-
  [[ $line == 220* ]]
}

# publish KEY VALUE: what the tests are told.
publish() { echo "$1=$2" >>"$STATE/$NAME.env.part"; }

write_env() {
  mkdir -p "$STATE"
  cat "$STATE"/*.env 2>/dev/null >"$STATE/env" || : >"$STATE/env"
}

# --- stopping -------------------------------------------------------------------------------------------------------

# The start time of a process, in clock ticks since boot: with the id it names one process for good.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# is_alive PID [STARTED]: and not a zombie.
is_alive() {
  local state
  state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1)
  [[ -n $state && $state != Z && (-z ${2:-} || $(started_at "$1") == "$2") ]]
}

is_running() {
  [[ -f $STATE/$NAME.pids && -f $STATE/$NAME.env ]] || return 1
  local pid started
  while read -r pid started; do is_alive "$pid" "$started" || return 1; done <"$STATE/$NAME.pids"
}

# Ends the processes of this service, its children too, and removes what was known of it.
forget() {
  local pid started signal
  for signal in TERM KILL; do
    while read -r pid started; do
      is_alive "$pid" "$started" || continue
      kill -s $signal -- "-$pid" 2>/dev/null || true
      for _ in {1..100}; do is_alive "$pid" "$started" || break; sleep 0.05; done
    done < <(cat "$STATE/$NAME.pids" 2>/dev/null)
  done
  local data
  data=$(cat "$STATE/$NAME.data" 2>/dev/null) || true
  [[ $data != */convoke-"$NAME".?????? ]] || rm -rf "$data"
  rm -f "$STATE/$NAME".{pids,data,env,env.part}
}
