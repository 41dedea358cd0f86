#!/bin/sh
# radicale-load.sh STORE FOLDER CALENDAR: the files of FOLDER into the folder of a calendar.
set -eu
cd "$2"
find . -type f -exec mv -t "$1/collections/collection-root$3" {} +
