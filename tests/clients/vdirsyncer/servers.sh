#!/usr/bin/env bash
# vdirsyncer keeps two servers in step: the calendars and address books of one reach the other, changes and deletions go both
# ways, and what came from the first is not rewritten there.
#
#   tests/clients/vdirsyncer/servers.sh URL USER PASSWORD OTHER-URL OTHER-USER OTHER-PASSWORD
#
# Needs $CONVOKE_TEST_VDIRSYNCER (scripts/services start clients).
set -euo pipefail

[[ $# -eq 6 ]] || { echo "usage: tests/clients/vdirsyncer/servers.sh URL USER PASSWORD OTHER-URL OTHER-USER OTHER-PASSWORD" >&2; exit 2; }
THIS=("${@:1:3}") OTHER=("${@:4:3}")
NAME=vdirsyncer-$(date +%s)-$$
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A folder beside each server, to write and to look.
side() { URL=$1 LOGIN=$2 PASSWORD=$3; device "$4" null; }

# pair KIND: both servers, without files between them.
pair() {
  mkdir -p "$WORK/pair-$1"
  cat >"$WORK/pair-$1/config" <<CONF
[general]
status_path = "$WORK/pair-$1/status"
[pair both]
a = "this"
b = "other"
collections = ["$COLLECTION"]
metadata = ["displayname"]
conflict_resolution = null
$(storage this "$1" "${THIS[@]}")
$(storage other "$1" "${OTHER[@]}")
CONF
}

# everywhere: here, over, there; then back.
everywhere() { sync here; sync "pair-$KIND"; sync there; }
back() { sync there; sync "pair-$KIND"; sync here; }

# object UID LINE…: a file on the device `on`.
object() {
  local path uid=$1
  path=$(folder "$on")/$1$(ending)
  shift
  printf '%s\r\n' "$@" | sed "s/@UID@/$uid/" >"$path"
}

event() { object "$1" BEGIN:VCALENDAR VERSION:2.0 'PRODID:-//example.org//device//EN' BEGIN:VEVENT UID:@UID@ DTSTAMP:20260101T000000Z \
  DTSTART:20260301T090000Z DTEND:20260301T100000Z "SUMMARY:$2" X-KEPT:yes END:VEVENT END:VCALENDAR; }
task() { object "$1" BEGIN:VCALENDAR VERSION:2.0 'PRODID:-//example.org//device//EN' BEGIN:VTODO UID:@UID@ DTSTAMP:20260101T000000Z \
  DUE:20260302T120000Z "SUMMARY:$2" STATUS:NEEDS-ACTION END:VTODO END:VCALENDAR; }
person() { object "$1" BEGIN:VCARD VERSION:3.0 UID:@UID@ "FN:$2" "N:$2;;;;" "PHOTO;ENCODING=b;TYPE=JPEG:$(head -c 3000 /dev/urandom | base64 -w 0)" END:VCARD; }
group() { object "$1" BEGIN:VCARD VERSION:3.0 UID:@UID@ "FN:$2" "N:$2;;;;" X-ADDRESSBOOKSERVER-KIND:group "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:$3" END:VCARD; }

# journey KIND FIRST SECOND: the two makers of objects.
journey() {
  KIND=$1 COLLECTION=$NAME-$1
  rm -rf "$WORK/here" "$WORK/there"
  side "${THIS[@]}" here
  side "${OTHER[@]}" there
  mkdir "$(folder here)"
  pair "$KIND"
  on=here
  "${@:2:2}" 'From here'
  "${@:4}"
  discover here
  sync here
  cp -r "$(folder here)" "$WORK/kept-$KIND"
  discover "pair-$KIND"
  sync "pair-$KIND"
  discover there
  sync there
  has there one
  has there two
  sync "pair-$KIND"
  ! grep -qE 'Copying|Deleting' "$WORK/last.log" || wrong "something moved though nothing changed"
  sync here
  for file in "$WORK/kept-$KIND"/*"$(ending)"; do cmp -s "$file" "$(folder here)/${file##*/}" || wrong "$file was rewritten"; done

  step "$KIND: a change and a deletion there, a new one here"
  sed -i -E 's/From here/From there/' "$(file there one)"
  rm "$(file there two)"
  on=here "$2" three 'Third'
  back
  everywhere
  grep -q 'From there' "$(file here one)" || wrong "the change did not arrive"
  lacks here two
  has there three

  step "$KIND: both change the same, which is seen"
  sed -i -E 's/From there/Here again/' "$(file here one)"
  sed -i -E 's/From there/There again/' "$(file there one)"
  sync here
  sync there
  conflicts "pair-$KIND"
  grep -q 'Here again' "$(file here one)" || wrong "the version here is lost"
  grep -q 'There again' "$(file there one)" || wrong "the version there is lost"
}

step "calendars of both servers"
journey caldav event one task two 'A task'
step "address books of both servers"
journey carddav person one group two Friends one

echo "vdirsyncer, two servers: all is well"
