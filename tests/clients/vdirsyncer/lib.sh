# The vocabulary of the stories of vdirsyncer beside this file. A device is a folder of files and a configuration; its pair keeps the
# folder in step with a server. The story sets URL, LOGIN and PASSWORD, KIND (caldav or carddav) and COLLECTION.

VDIRSYNCER=${CONVOKE_TEST_VDIRSYNCER:?run: eval \"\$(scripts/services env)\"}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
: >"$WORK/last.log"

step() { printf -- '- %s\n' "$*"; }
wrong() { printf 'WRONG: %s\n' "$*" >&2; tail -n 30 "$WORK/last.log" >&2; exit 1; }

ending() { [[ $KIND == caldav ]] && echo .ics || echo .vcf; }

# device NAME CONFLICTS [COLLECTIONS]: a folder and a configuration. The server is known by URL, user and password alone.
device() {
  local metadata='"displayname", "description"'
  [[ $KIND != caldav ]] || metadata='"displayname", "color", "description", "order"'
  mkdir -p "$WORK/$1/files"
  cat >"$WORK/$1/config" <<CONF
[general]
status_path = "$WORK/$1/status"
[pair both]
a = "files"
b = "server"
collections = [${3:-\"$COLLECTION\"}]
metadata = [$metadata]
conflict_resolution = $2
[storage files]
type = "filesystem"
path = "$WORK/$1/files"
fileext = "$(ending)"
$(storage server "$KIND" "$URL" "$LOGIN" "$PASSWORD")
CONF
}

# storage NAME KIND URL USER PASSWORD: a section of a configuration.
storage() { printf '[storage %s]\ntype = "%s"\nurl = "%s"\nusername = "%s"\npassword = "%s"\n' "$@"; }

# run DEVICE COMMAND…: vdirsyncer, with what it says in last.log.
run() {
  local config=$WORK/$1/config
  shift
  "$VDIRSYNCER" --config "$config" "$@" >"$WORK/last.log" 2>&1
}

sync() { run "$1" sync || wrong "vdirsyncer on $1 failed"; }
metasync() { run "$1" metasync || wrong "metasync on $1 failed"; }
# Makes what one side lacks.
discover() { run "$1" discover < <(yes) || wrong "no discovery on $1"; }
quiet() {
  sync "$1"
  ! grep -qE 'Copying|Deleting' "$WORK/last.log" || wrong "something moved on $1"
}

# conflicts DEVICE: the pair has a conflict that nobody resolves; vdirsyncer says so and ends with status 1.
conflicts() {
  local status=0
  run "$1" sync || status=$?
  [[ $status -eq 1 ]] || wrong "a conflict on $1 ended with status $status"
  grep -qi conflict "$WORK/last.log" || wrong "the failure on $1 is not about a conflict"
}

folder() { echo "$WORK/$1/files/$COLLECTION"; }
# file DEVICE UID: the file that holds it, whatever its name.
file() { grep -lrsE "^UID:$2"$'\r?$' "$(folder "$1")" | head -1; }
has() { [[ -n $(file "$1" "$2") ]] || wrong "$1 lacks $2"; }
lacks() { [[ -z $(file "$1" "$2") ]] || wrong "$1 still has $2"; }
count() { find "$(folder "$1")" -name "*$(ending)" | wc -l; }
# same DEVICE OTHER UID: octet for octet, but for line ends: XML has others, and servers give calendars those (RFC 4791 §9.6).
same() { cmp -s <(tr -d '\r' <"$(file "$1" "$3")") <(tr -d '\r' <"$(file "$2" "$3")") || wrong "$3 is not the same on $1 and $2: $(diff "$(file "$1" "$3")" "$(file "$2" "$3")" | cat -A)"; }
# kept DEVICE UID: the server has it octet for octet as the device wrote it.
kept() { curl -sf -u "$LOGIN:$PASSWORD" "$(place "$1")$(basename "$(file "$1" "$2")")" | cmp -s - "$(file "$1" "$2")" || wrong "the server has rewritten $2"; }
# place DEVICE: the URL of the collection.
place() { grep -rhoE "https?://[^\" ]*/$COLLECTION\b" "$WORK/$1/status" | head -1 | sed 's|$|/|'; }

# unfolded FILE: content lines without their folding.
unfolded() { tr -d "\r" <"$1" | awk '{ if (sub(/^[ \t]/, "")) line = line $0; else { if (NR > 1) print line; line = $0 } } END { print line }'; }
says() { unfolded "$(file "$1" "$2")" | grep -xF -- "$3" >/dev/null || wrong "$2 on $1 lacks the line: $3"; }

# looks DEVICE NAME TEXT: what the device knows of the collection.
looks() { [[ $(cat "$(folder "$1")/$2" 2>/dev/null) == "$3" ]] || wrong "$2 on $1 is $(cat "$(folder "$1")/$2" 2>&1)"; }
look() { printf '%s' "$3" >"$(folder "$1")/$2"; }
