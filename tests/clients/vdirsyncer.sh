#!/usr/bin/env bash
# Two devices keep a folder of calendar files in step with a CalDAV server by vdirsyncer: what one writes, changes or deletes
# reaches the other, conflicts are seen, and nothing moves when nothing changed.
#
#   tests/clients/vdirsyncer.sh URL USER PASSWORD
#
# Needs $CONVOKE_TEST_VDIRSYNCER (scripts/services start clients).
set -euo pipefail

[[ $# -eq 3 ]] || { echo "usage: tests/clients/vdirsyncer.sh URL USER PASSWORD" >&2; exit 2; }
URL=$1 LOGIN=$2 PASSWORD=$3
VDIRSYNCER=${CONVOKE_TEST_VDIRSYNCER:?run: eval \"\$(scripts/services env)\"}
# A new name each time, so that the same server can be used again.
CALENDAR=vdirsyncer-$(date +%s)-$$
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

step() { printf -- '- %s\n' "$*"; }
wrong() { printf 'WRONG: %s\n' "$*" >&2; tail -n 30 "$WORK/last.log" >&2; exit 1; }

# --- devices ---------------------------------------------------------------------------------------------------------

# device NAME CONFLICTS: a folder and a configuration.
device() {
  mkdir -p "$WORK/$1/files/$CALENDAR"
  cat >"$WORK/$1/config" <<CONF
[general]
status_path = "$WORK/$1/status"
[pair calendars]
a = "files"
b = "server"
collections = ["$CALENDAR"]
metadata = ["displayname", "color"]
conflict_resolution = $2
[storage files]
type = "filesystem"
path = "$WORK/$1/files"
fileext = ".ics"
[storage server]
type = "caldav"
url = "$URL"
username = "$LOGIN"
password = "$PASSWORD"
CONF
}

# run DEVICE COMMAND…: vdirsyncer, with what it says in last.log.
run() {
  local config=$WORK/$1/config
  shift
  "$VDIRSYNCER" --config "$config" "$@" >"$WORK/last.log" 2>&1
}

sync() { run "$1" sync || wrong "vdirsyncer on $1 failed"; }
discover() { run "$1" discover < <(yes) || wrong "no discovery on $1"; }

# file DEVICE UID: the file that holds it, whatever its name.
file() { grep -lrsE "^UID:$2"$'\r?$' "$WORK/$1/files/$CALENDAR" | head -1; }
has() { [[ -n $(file "$1" "$2") ]] || wrong "$1 lacks $2"; }
lacks() { [[ -z $(file "$1" "$2") ]] || wrong "$1 still has $2"; }
count() { find "$WORK/$1/files/$CALENDAR" -name '*.ics' | wc -l; }

# unfolded FILE: content lines without their folding.
unfolded() { sed 's/\r$//' "$1" | sed -e ':a' -e 'N;$!ba' -e 's/\n[ \t]//g'; }
says() { unfolded "$(file "$1" "$2")" | grep -qxF -- "$3" || wrong "$2 on $1 lacks the line: $3"; }

# write DEVICE UID COMPONENT LINE…: an object of one component.
write() {
  local path=$WORK/$1/files/$CALENDAR/$2.ics uid=$2 component=$3
  shift 3
  {
    printf '%s\r\n' BEGIN:VCALENDAR VERSION:2.0 'PRODID:-//example.org//device//EN' "BEGIN:$component" "UID:$uid" \
      DTSTAMP:20260101T000000Z "$@" "END:$component" END:VCALENDAR
  } >"$path"
}

change() { sed -i -E "s/^SUMMARY:[^\r]*/SUMMARY:$3/" "$(file "$1" "$2")"; }

# --- the story -------------------------------------------------------------------------------------------------------

device laptop null
device phone null

step "the laptop makes the calendar on the server and stores an event, a series with an exception, a task and a journal"
write laptop event VEVENT DTSTART:20260301T090000Z DTEND:20260301T100000Z 'SUMMARY:Café: crème\, brûlée\; “always”' \
  'X-VENDOR-NOTE;X-PARAM="a:b;c,d":kept as it is' 'DESCRIPTION:A long description that no line of seventy-five octets can hold\,' \
  ' so that it is folded ünd hás characters of more than one octet in it'
write laptop task VTODO 'SUMMARY:Buy milk' DUE:20260302T120000Z STATUS:NEEDS-ACTION
write laptop journal VJOURNAL 'SUMMARY:Minutes' DTSTART\;VALUE=DATE:20260303
cat >"$WORK/laptop/files/$CALENDAR/series.ics" < <(sed 's/$/\r/' <<'ICS'
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example.org//device//EN
BEGIN:VEVENT
UID:series
DTSTAMP:20260101T000000Z
DTSTART:20260302T080000Z
DTEND:20260302T083000Z
RRULE:FREQ=WEEKLY;COUNT=10
EXDATE:20260316T080000Z
SUMMARY:Stand-up
END:VEVENT
BEGIN:VEVENT
UID:series
DTSTAMP:20260101T000000Z
RECURRENCE-ID:20260309T080000Z
DTSTART:20260309T100000Z
DTEND:20260309T103000Z
SUMMARY:Stand-up\, later
END:VEVENT
END:VCALENDAR
ICS
)
discover laptop
sync laptop

step "the phone finds the calendar and gets everything, unknown properties and folded text included"
discover phone
sync phone
for uid in event task journal series; do has phone "$uid"; done
says phone event 'SUMMARY:Café: crème\, brûlée\; “always”'
says phone event 'X-VENDOR-NOTE;X-PARAM="a:b;c,d":kept as it is'
says phone event 'DESCRIPTION:A long description that no line of seventy-five octets can hold\,so that it is folded ünd hás characters of more than one octet in it'
says phone series 'RECURRENCE-ID:20260309T080000Z'

step "a second sync moves nothing"
sync laptop
! grep -qE 'Copying|Deleting' "$WORK/last.log" || wrong "something moved"
sync phone
! grep -qE 'Copying|Deleting' "$WORK/last.log" || wrong "something moved"

step "the phone changes one, deletes one and adds one; the laptop follows"
change phone event 'Moved by the phone'
rm "$(file phone task)"
write phone added VEVENT DTSTART:20260401T090000Z DTEND:20260401T100000Z 'SUMMARY:Added on the phone'
sync phone
sync laptop
says laptop event 'SUMMARY:Moved by the phone'
lacks laptop task
has laptop added

step "both change in different places; both get both"
change laptop event 'From the laptop'
change phone journal 'From the phone'
sync laptop
sync phone
sync laptop
says phone event 'SUMMARY:From the laptop'
says laptop journal 'SUMMARY:From the phone'

step "both change the same event: the second one is told of the conflict, and nothing is lost"
change laptop event 'Laptop says this'
change phone event 'Phone says that'
sync laptop
! run phone sync || wrong "the conflict was not seen"
grep -qi conflict "$WORK/last.log" || wrong "the failure is not about a conflict"
says phone event 'SUMMARY:Phone says that'

step "the phone takes the server's version"
device phone '"b wins"'
sync phone
says phone event 'SUMMARY:Laptop says this'

step "a hundred events at once"
for i in {1..100}; do
  write laptop "many-$i" VEVENT "DTSTART:202605$(printf %02d $((i % 28 + 1)))T090000Z" DURATION:PT1H "SUMMARY:Event $i"
done
sync laptop
sync phone
[[ $(count phone) -eq $(count laptop) && $(count phone) -ge 104 ]] || wrong "the phone has $(count phone), the laptop $(count laptop)"

step "their deletion reaches the other device"
rm "$WORK/phone/files/$CALENDAR"/many-*.ics 2>/dev/null || find "$WORK/phone/files/$CALENDAR" -name '*.ics' -exec grep -lE '^UID:many-' {} + | xargs rm
sync phone
sync laptop
for uid in many-1 many-100; do lacks laptop "$uid"; done
has laptop event

step "name and colour of the calendar reach the other device"
run laptop metasync || wrong "first metasync on the laptop"
run phone metasync || wrong "first metasync on the phone"
printf 'Work & play' >"$WORK/laptop/files/$CALENDAR/displayname"
printf '#ff8800' >"$WORK/laptop/files/$CALENDAR/color"
run laptop metasync || wrong "metasync on the laptop"
run phone metasync || wrong "metasync on the phone"
[[ $(cat "$WORK/phone/files/$CALENDAR/displayname") == 'Work & play' ]] || wrong "the name is $(cat "$WORK/phone/files/$CALENDAR/displayname")"
[[ $(cat "$WORK/phone/files/$CALENDAR/color") == '#ff8800'* ]] || wrong "the colour is $(cat "$WORK/phone/files/$CALENDAR/color")"

echo "vdirsyncer: all is well"
