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

# take_turns and end_turn enclose what two runs must not do at once.
take_turns() {
  mkdir -p "$CACHE"
  exec {TURN}>"$CACHE/lock"
  ! have flock || flock "$TURN"
}
end_turn() { exec {TURN}>&-; }

# Reads the lists of packages, once in a run.
refresh_packages() {
  [[ -z ${PACKAGES_ARE_FRESH:-} ]] || return 0
  take_turns
  apt-get -o Acquire::Retries=3 update -q >&2
  end_turn
  PACKAGES_ARE_FRESH=1
}

# apt-get install with the given arguments; the services of the packages themselves are not started.
quietly_install() {
  local hold=/usr/sbin/policy-rc.d held='' status=0
  take_turns
  if [[ ! -e $hold ]]; then
    printf '#!/bin/sh\nexit 101\n' >$hold
    chmod 755 $hold
    held=1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 install -q -y --no-remove --no-install-recommends "$@" >&2 || status=$?
  [[ -z $held ]] || rm -f $hold
  end_turn
  return $status
}

# python_tools [NAME]: the Python tools of the tests in one venv, pinned by hash; or those of NAME in its own.
python_tools() {
  local wanted=$HERE/${1:-clients}/requirements.txt venv=$CACHE/python${1:+-$1} stamp
  stamp=$(sha256sum "$wanted" | cut -d' ' -f1)
  PYTHON=$venv/bin/python
  [[ $(cat "$venv/.stamp" 2>/dev/null) != "$stamp" ]] || return 0
  local python
  python=$(a_python) || { need_packages python3-venv && python=$(a_python); } || fail "no Python of at least 3.11 with venv"
  take_turns
  [[ $(cat "$venv/.stamp" 2>/dev/null) != "$stamp" ]] || { end_turn && return; }
  say "fetch Python packages"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$PYTHON" -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "$wanted" >&2
  echo "$stamp" >"$venv/.stamp"
  end_turn
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

# A port of 127.0.0.1 that nobody listens on and that was not handed out before, to whichever instance of whichever checkout on
# this machine. Below the range of outgoing connections.
free_port() {
  local port
  [[ -d $PORTS ]] || mkdir -p -m 1777 "$PORTS"
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    # Fails when the file is there: whoever makes it has the port.
    (set -o noclobber && echo "$STATE" >"$PORTS/$port") 2>/dev/null || continue
    echo "$port" >>"$STATE/$NAME.ports"
    listens "$port" || break
  done
  echo "$port"
}

# Ports that are taken: one file each, with the state folder of the instance. What a crash left is removed after a day.
PORTS=/tmp/convoke-test-ports

give_back_ports() {
  local port
  while read -r port; do rm -f "$PORTS/$port"; done < <(cat "$STATE/$NAME.ports" 2>/dev/null)
  rm -f "$STATE/$NAME.ports"
  find "$PORTS" -type f -mmin +1440 -delete 2>/dev/null || true
}

# certificate: an authority of the service's own, $DATA/ca.pem, and a certificate of it for localhost and 127.0.0.1,
# $DATA/server.pem with $DATA/server.key. Needs openssl.
certificate() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  openssl req -x509 "${key[@]}" -days 30 -subj "/CN=convoke test authority" -keyout "$DATA/ca.key" -out "$DATA/ca.pem" 2>/dev/null
  openssl req "${key[@]}" -subj "/CN=localhost" -keyout "$DATA/server.key" -out "$DATA/server.csr" 2>/dev/null
  openssl x509 -req -days 30 -in "$DATA/server.csr" -CA "$DATA/ca.pem" -CAkey "$DATA/ca.key" -CAcreateserial -out "$DATA/server.pem" \
    -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n') 2>/dev/null
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A new folder in $CONVOKE_SERVICES_DATA, or in memory where there is room, for the speed; readable by the user that a service runs as.
new_data_folder() {
  local base=${CONVOKE_SERVICES_DATA:-${TMPDIR:-/tmp}} folder
  if [[ -z ${CONVOKE_SERVICES_DATA:-} && -w /dev/shm && $(df --output=avail /dev/shm 2>/dev/null | tail -1) -gt 1000000 ]]; then base=/dev/shm; fi
  folder=$(mktemp -d "$base/convoke-$NAME.XXXXXX")
  chmod 755 "$folder"
  echo "$folder"
}

# launch COMMAND…: starts a process of this service in a group of its own and remembers it, with its environment and its
# working directory. AS=PROCESS launch COMMAND… gives it a name, where a service has several.
launch() {
  local launch
  launch=$STATE/$NAME.launches/$(printf '%02d' "$(ls "$STATE/$NAME.launches" | wc -l)")
  # By this label its container is found.
  if [[ $1 == docker && $2 == run ]]; then set -- docker run --label "convoke.launch=$launch" "${@:3}"; fi
  mkdir "$launch"
  echo "${AS:-}" >"$launch/name"
  printf '%s\0' "$@" >"$launch/command"
  env -0 >"$launch/environment"
  pwd >"$launch/folder"
  begin "$launch"
}

# begin LAUNCH: starts what was launched before.
begin() {
  local command environment
  mapfile -d '' -t command <"$1/command"
  mapfile -d '' -t environment <"$1/environment"
  (cd "$(cat "$1/folder")" && exec setsid env -i "${environment[@]}" "${command[@]}") >>"$STATE/$NAME.log" 2>&1 </dev/null &
  LAUNCHED=$!
  disown "$LAUNCHED"
  echo "$LAUNCHED $(started_at "$LAUNCHED")" >"$1/process"
}

# await SECONDS COMMAND…: until the command succeeds; fails early when the launched process is gone. The same is awaited
# again when the launched process is revived.
await() {
  local launch n
  launch=$(ls -d "$STATE/$NAME.launches"/* | tail -1)
  n=$(find "$launch" -name 'probe-*' | wc -l)
  printf '%s\0' "$@" >"$launch/probe-$n"
  shell_as_it_is >"$launch/shell-$n"
  is_ready "$@"
}

# The functions and variables of this shell, for a probe that uses them when it is asked again.
shell_as_it_is() {
  local own='BASH.*|FUNCNAME|DIRSTACK|GROUPS|SECONDS|EPOCH.*|S?RANDOM|PIPESTATUS|LINENO|_' fixed
  fixed=$(readonly -p | sed -nE 's/^declare -[^ ]+ ([^=]+).*/\1/p' | paste -sd'|')
  # Fails for a variable that is declared and has no value.
  # shellcheck disable=SC2046
  declare -p $(compgen -v | grep -vxE "$own|$fixed") 2>/dev/null || true
  declare -f
}

# is_ready SECONDS COMMAND…
is_ready() {
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
  {
    cat "$STATE"/*.env 2>/dev/null || true
    echo "CONVOKE_TEST_SERVICES=$(cd "$STATE" && for env in *.env; do [[ ! -f $env ]] || echo "${env%.env}"; done | paste -sd' ')"
  } >"$STATE/env"
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

# Whether the service was started and not stopped since; its processes may be gone.
is_known() { [[ -d $STATE/$NAME.launches ]]; }

is_running() {
  [[ -f $STATE/$NAME.env ]] && is_known || return 1
  local launch
  for launch in $(launches); do is_alive_launch "$launch" || return 1; done
}

# launches [PROCESS]: the folders of this service's launches in their order, or of those launched under that name.
launches() {
  local launch found=
  for launch in "$STATE/$NAME.launches"/*/; do
    [[ -f $launch/process && (-z ${1:-} || $(cat "$launch/name") == "$1") ]] || continue
    echo "${launch%/}"
    found=1
  done
  [[ -n $found || -z ${1:-} ]] || fail "$NAME has no process \"$1\""
}

is_alive_launch() {
  local pid started
  read -r pid started <"$1/process"
  is_alive "$pid" "$started"
}

# signal_launch SIGNAL LAUNCH: to all of its processes; to its container, if it is in one: that is no child of the program that
# speaks to Docker.
signal_launch() {
  local pid started container
  read -r pid started <"$2/process"
  if [[ $(head -zn 1 "$2/command" | tr -d '\0') == docker ]]; then
    container=$(docker ps --quiet --filter "label=convoke.launch=$2")
    case $1 in
      STOP) [[ -z $container ]] || docker pause "$container" ;;
      CONT) [[ -z $container ]] || docker unpause "$container" || true ;;
      *) [[ -z $container ]] || docker kill --signal "$1" "$container" || true ;;
    esac >/dev/null 2>&1
  fi
  # The leader may be gone and leave children. Nobody else gets its id as long as a process has it for its group.
  if [[ ! -e /proc/$pid || $(started_at "$pid") == "$started" ]]; then kill -s "$1" -- "-$pid" 2>/dev/null || true; fi
}

# Whether nothing of the process group is left, zombies aside.
is_gone() {
  local pid _ file stat state group
  read -r pid _ <"$1/process"
  kill -0 -- "-$pid" 2>/dev/null || return 0
  for file in /proc/[0-9]*/stat; do
    # After the name in brackets: state, parent, group.
    { read -r stat <"$file"; } 2>/dev/null || continue
    read -r state _ group _ <<<"${stat##*) }"
    [[ $group != "$pid" || $state == [ZX] ]] || return 1
  done
}

# wait_until_gone LAUNCH: five seconds at most.
wait_until_gone() {
  for _ in {1..100}; do
    ! is_gone "$1" || return 0
    sleep 0.05
  done
  return 1
}

# Ends the processes of this service, its children too, and removes what was known of it.
forget() {
  local launch data
  for launch in $(is_known && launches | tac); do
    signal_launch TERM "$launch"
    signal_launch CONT "$launch"
  done
  for launch in $(is_known && launches); do
    wait_until_gone "$launch" || { signal_launch KILL "$launch"; wait_until_gone "$launch" || true; }
  done
  data=$(cat "$STATE/$NAME.data" 2>/dev/null) || true
  [[ $data != */convoke-"$NAME".?????? ]] || rm -rf "$data"
  rm -rf "$STATE/$NAME.launches"
  rm -f "$STATE/$NAME".{data,env,env.part}
  give_back_ports
}

# --- faults ---------------------------------------------------------------------------------------------------------
# Each takes the name of one process, or nothing for all processes of the service.

kill_launches() {
  local list launch
  list=$(launches "$1")
  for launch in $list; do signal_launch KILL "$launch"; done
  for launch in $list; do wait_until_gone "$launch" || fail "$NAME does not end"; done
}

revive_launches() {
  local list launch probe n
  list=$(launches "$1")
  for launch in $list; do
    ! is_alive_launch "$launch" || fail "$NAME is not dead: kill it first"
  done
  for launch in $list; do
    begin "$launch"
    for ((n = 0; ; n++)); do
      [[ -f $launch/probe-$n ]] || break
      mapfile -d '' -t probe <"$launch/probe-$n"
      probe_again "$launch/shell-$n" "${probe[@]}"
    done
  done
}

# probe_again SHELL SECONDS COMMAND…: awaits with the functions and variables that there were then.
probe_again() (
  revived=$LAUNCHED
  eval "$(cat "$1")"
  shift
  LAUNCHED=$revived
  is_ready "$@"
)

pause_launches() {
  local list launch
  list=$(launches "$1")
  for launch in $list; do signal_launch STOP "$launch"; done
}

resume_launches() {
  local list launch
  list=$(launches "$1")
  for launch in $list; do signal_launch CONT "$launch"; done
}
