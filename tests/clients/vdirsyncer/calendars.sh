#!/usr/bin/env bash
# Two devices keep a folder of calendar files in step with a CalDAV server by vdirsyncer: what one writes, changes or deletes
# reaches the other octet for octet, conflicts are seen or resolved as asked, and nothing moves when nothing changed.
#
#   tests/clients/vdirsyncer/calendars.sh URL USER PASSWORD
#
# Needs $CONVOKE_TEST_VDIRSYNCER (scripts/services start clients).
set -euo pipefail

[[ $# -eq 3 ]] || { echo "usage: tests/clients/vdirsyncer/calendars.sh URL USER PASSWORD" >&2; exit 2; }
URL=$1 LOGIN=$2 PASSWORD=$3 KIND=caldav
# A new name each time, so that the same server can be used again.
COLLECTION=vdirsyncer-$(date +%s)-$$
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# write DEVICE UID COMPONENT LINE…: an object of one component.
write() {
  local path=$(folder "$1")/$2.ics uid=$2 component=$3
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
mkdir "$(folder laptop)"

step "the laptop makes the calendar on the server and stores an event, a series with an exception, a task and a journal"
write laptop event VEVENT DTSTART:20260301T090000Z DTEND:20260301T100000Z 'SUMMARY:Café: crème\, brûlée\; “always”' \
  'X-VENDOR-NOTE;X-PARAM="a:b;c,d":kept as it is' 'DESCRIPTION:A long description that no line of seventy-five octets can hold\,' \
  ' so that it is folded ünd hás characters of more than one octet in it'
write laptop task VTODO 'SUMMARY:Buy milk' DUE:20260302T120000Z STATUS:NEEDS-ACTION
write laptop journal VJOURNAL 'SUMMARY:Minutes' DTSTART\;VALUE=DATE:20260303
cat >"$(folder laptop)/series.ics" < <(sed 's/$/\r/' <<'ICS'
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

for uid in event task journal series; do
  same laptop phone "$uid"
  kept laptop "$uid"
done

step "a second sync moves nothing"
quiet laptop
quiet phone

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
conflicts phone
conflicts phone
says phone event 'SUMMARY:Phone says that'

step "the phone takes the server's version"
device phone '"b wins"'
sync phone
says phone event 'SUMMARY:Laptop says this'
same laptop phone event
quiet phone

step "both change it again, and this time the phone wins; an event that one deletes and the other changes is kept"
change laptop event 'Laptop insists'
change phone event 'Phone insists'
change laptop series 'Still wanted'
rm "$(file phone series)"
sync laptop
device phone '"a wins"'
sync phone
sync laptop
says laptop event 'SUMMARY:Phone insists'
same laptop phone event
says phone series 'SUMMARY:Still wanted'
quiet phone

step "a hundred events at once"
for i in {1..100}; do
  write laptop "many-$i" VEVENT "DTSTART:202605$(printf %02d $((i % 28 + 1)))T090000Z" DURATION:PT1H "SUMMARY:Event $i"
done
sync laptop
sync phone
[[ $(count phone) -eq $(count laptop) && $(count phone) -ge 104 ]] || wrong "the phone has $(count phone), the laptop $(count laptop)"

step "their deletion reaches the other device"
grep -lrE '^UID:many-' "$(folder phone)" | xargs rm
sync phone
sync laptop
for uid in many-1 many-100; do lacks laptop "$uid"; done
has laptop event

step "name, colour, description and place of the calendar reach the other device"
metasync laptop
metasync phone
look laptop displayname 'Work & play'
look laptop color '#ff8800'
look laptop description 'Café <and> more'
look laptop order 7
metasync laptop
metasync phone
looks phone displayname 'Work & play'
[[ $(cat "$(folder phone)/color") == '#ff8800'* ]] || wrong "the colour is $(cat "$(folder phone)/color")"
looks phone description 'Café <and> more'
looks phone order 7
look phone displayname 'Phone has another name'
metasync phone
metasync laptop
looks laptop displayname 'Phone has another name'

step "a third device finds everything that there is, the main calendar too, and a calendar of tasks that was made elsewhere"
tasks=$COLLECTION-tasks
body='<c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:set><d:prop><d:displayname>Tasks</d:displayname><c:supported-calendar-component-set><c:comp name="VTODO"/></c:supported-calendar-component-set></d:prop></d:set></c:mkcalendar>'
home=$(place laptop)
home=${home%"$COLLECTION/"}
[[ -n $home ]] || wrong "where the calendars are is not known"
[[ $(curl -s -o /dev/null -w '%{http_code}' -u "$LOGIN:$PASSWORD" -X MKCALENDAR -H 'Content-Type: application/xml' -d "$body" "$home$tasks/") == 201 ]] || wrong "no calendar of tasks"
device tablet null '"from a", "from b"'
discover tablet
sync tablet
same laptop tablet event
[[ -d $WORK/tablet/files/$tasks ]] || wrong "the tablet lacks the calendar of tasks"
[[ $(find "$WORK/tablet/files" -mindepth 1 -maxdepth 1 -type d | wc -l) -ge 3 ]] || wrong "the tablet lacks the main calendar"
COLLECTION=$tasks write tablet chore VTODO 'SUMMARY:Sweep' STATUS:NEEDS-ACTION
sync tablet
curl -sf -u "$LOGIN:$PASSWORD" "$home$tasks/chore.ics" | cmp -s - "$WORK/tablet/files/$tasks/chore.ics" || wrong "the server has another task"
COLLECTION=$tasks write tablet meeting VEVENT DTSTART:20260301T090000Z DTEND:20260301T100000Z 'SUMMARY:No place for it here'
! run tablet sync || wrong "an event went into a calendar of tasks"
[[ -e $WORK/tablet/files/$tasks/meeting.ics ]] || wrong "what the server refuses is lost"
curl -sf -o /dev/null -u "$LOGIN:$PASSWORD" -X DELETE "$home$tasks/" || wrong "the calendar of tasks stays"

echo "vdirsyncer, calendars: all is well"
