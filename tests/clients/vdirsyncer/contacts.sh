#!/usr/bin/env bash
# Two devices keep a folder of cards in step with a CardDAV server by vdirsyncer: photos, groups and properties that nobody knows
# reach the other octet for octet, those of version 4 for who asks for it, and conflicts lose nothing.
#
#   tests/clients/vdirsyncer/contacts.sh URL USER PASSWORD
#
# Needs $CONVOKE_TEST_VDIRSYNCER (scripts/services start clients).
set -euo pipefail

[[ $# -eq 3 ]] || { echo "usage: tests/clients/vdirsyncer/contacts.sh URL USER PASSWORD" >&2; exit 2; }
URL=$1 LOGIN=$2 PASSWORD=$3 KIND=carddav
COLLECTION=vdirsyncer-$(date +%s)-$$
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# card DEVICE UID VERSION LINE…
card() {
  local path uid=$2 version=$3
  path=$(folder "$1")/$2.vcf
  shift 3
  printf '%s\r\n' BEGIN:VCARD "VERSION:$version" "UID:$uid" "$@" END:VCARD >"$path"
}

change() { sed -i -E "s/^FN:[^\r]*/FN:$3/" "$(file "$1" "$2")"; }

# photo: 60,000 octets of a picture as a folded property of version 3.
photo() { printf 'PHOTO;ENCODING=b;TYPE=JPEG:%s' "$(head -c 60000 /dev/urandom | base64 -w 0)" | sed -E 's/(.{74})/\1\r\n /g'; }

device laptop null
device phone null
mkdir "$(folder laptop)"

step "the laptop makes the address book and stores a person with a photo, one of version 4, one of Apple's, and two groups"
card laptop bob 3.0 FN:Bob N:Bobson\;Bob\;\;\; 'EMAIL;TYPE=INTERNET,pref:bob@example.org' 'NOTE:first\nsecond\, “third”\; 🎂' "$(photo)"
card laptop carol 4.0 'FN:Carol Ünlü' 'EMAIL;PREF=1:carol@example.org' 'TEL;VALUE=uri;TYPE="voice,work":tel:+33-1-00-00-00-00' \
  'PHOTO:data:image/png;base64,iVBORw0KGgo=' 'X-VENDOR;X-PARAM="a:b;c,d":kept as it is' RELATED\;TYPE=friend:urn:uuid:bob
card laptop dave 3.0 FN:Dave N:Davidson\;Dave\;\;\; 'item1.ADR;type=HOME;type=pref:;;1 Main Street;Lyon;;69001;France' item1.X-ABADR:fr \
  'item2.X-ABRELATEDNAMES:Erin' 'item2.X-ABLabel:_$!<Spouse>!$_' 'X-ABDATE;type=pref:2001-02-03' 'BDAY;VALUE=date:1604-05-06'
card laptop friends 4.0 KIND:group FN:Friends MEMBER:urn:uuid:bob MEMBER:urn:uuid:carol
card laptop team 3.0 FN:Team N:Team\;\;\;\; X-ADDRESSBOOKSERVER-KIND:group X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:dave
discover laptop
sync laptop

step "the server keeps all of it octet for octet; the phone gets it so, but cards of version 4 as version 3 (RFC 6352 §10.4)"
discover phone
sync phone
for uid in bob carol dave friends team; do kept laptop "$uid"; done
for uid in bob dave team; do same laptop phone "$uid"; done
says phone carol VERSION:3.0
says phone carol 'X-VENDOR;X-PARAM="a:b;c,d":kept as it is'
says phone carol 'PHOTO;ENCODING=b;TYPE=PNG:iVBORw0KGgo='
says phone friends X-ADDRESSBOOKSERVER-KIND:group
says phone friends X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:carol
quiet laptop
quiet phone

step "a device that asks for version 4 gets those octet for octet"
device four null
printf 'use_vcard_4 = true\n' >>"$WORK/four/config"
discover four
sync four
for uid in carol friends; do same laptop four "$uid"; done
says four bob VERSION:4.0

step "the phone changes one, deletes one, adds one and takes a member from the group; the laptop follows"
change phone bob 'Robert'
rm "$(file phone dave)"
card phone erin 3.0 FN:Erin N:Erinson\;Erin\;\;\;
sed -i '/MEMBER:urn:uuid:carol/d' "$(file phone friends)"
sync phone
sync laptop
says laptop bob FN:Robert
lacks laptop dave
for uid in bob erin friends team; do same laptop phone "$uid"; done

step "both change the same card: the second one is told of the conflict, and nothing is lost"
change laptop bob 'Bobby'
change phone bob 'Rob'
sync laptop
conflicts phone
says phone bob FN:Rob
says laptop bob FN:Bobby

step "the phone takes the server's, then insists on its own"
device phone '"b wins"'
sync phone
same laptop phone bob
change laptop carol 'Carole'
change phone carol 'Karol'
sync laptop
device phone '"a wins"'
sync phone
sync laptop
says laptop carol FN:Karol
quiet phone

step "two hundred cards at once, and their deletion"
for i in {1..200}; do card laptop "many-$i" 3.0 "FN:Person $i" "N:Person;$i;;;"; done
sync laptop
sync phone
[[ $(count phone) -eq $(count laptop) && $(count phone) -eq 205 ]] || wrong "the phone has $(count phone), the laptop $(count laptop)"
grep -lrE '^UID:many-' "$(folder phone)" | xargs rm
sync phone
sync laptop
lacks laptop many-200
has laptop erin

step "name and description of the address book reach the other device"
metasync laptop
metasync phone
look laptop displayname 'Friends & family'
look laptop description 'Whom we like'
metasync laptop
metasync phone
looks phone displayname 'Friends & family'
looks phone description 'Whom we like'

step "a third device finds everything that there is, the address books that everybody has too"
device tablet null '"from a", "from b"'
discover tablet
sync tablet
for uid in bob carol erin friends team; do same laptop tablet "$uid"; done
mkdir "$WORK/tablet/files/made-on-the-tablet"
discover tablet
sync tablet
device phone null '"from a", "from b"'
discover phone
[[ -d $WORK/phone/files/made-on-the-tablet ]] || wrong "the phone lacks the address book that the tablet made"

echo "vdirsyncer, contacts: all is well"
