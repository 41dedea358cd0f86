#!/bin/sh
# xandikos-load.sh STORE FOLDER CALENDAR: the files of FOLDER into the Git repository of a calendar, as one commit.
set -eu
exec "$XANDIKOS_PYTHON" - "$1/store$3" "$2" <<'PYTHON'
import os, shutil, sys
from dulwich import porcelain
calendar, folder = sys.argv[1].rstrip("/"), sys.argv[2]
names = os.listdir(folder)
for name in names:
    shutil.move(os.path.join(folder, name), os.path.join(calendar, name))
porcelain.add(calendar, [os.path.join(calendar, name) for name in names])
porcelain.commit(calendar, message=b"load", author=b"bench <bench@example.org>", committer=b"bench <bench@example.org>")
PYTHON
