#!/bin/sh
# sabre-load.sh STORE FOLDER CALENDAR: the files of FOLDER into a calendar, by the library itself, in one transaction.
set -eu
exec php -d error_reporting=8191 -r '
require_once "Sabre/autoload.php";
[, $database, $folder, $calendar] = $argv;
$pdo = new PDO("sqlite:$database");
$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$pdo->beginTransaction();
$found = $pdo->prepare("select id from calendars where uri = ?");
$found->execute([basename($calendar)]);
$id = $found->fetchColumn();
$backend = new Sabre\CalDAV\Backend\PDO($pdo);
foreach (glob("$folder/*.ics") as $file) {
    $backend->createCalendarObject($id, basename($file), file_get_contents($file));
}
$pdo->commit();
' "$1/db.sqlite" "$2" "$3"
