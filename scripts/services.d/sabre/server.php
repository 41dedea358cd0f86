<?php
/**
 * sabre/dav, the library that Baïkal, Nextcloud and esn-sabre are built on, as a server: calendars and address books of three
 * people in one SQLite file, with Basic authentication.
 *
 *   SABRE_DATABASE=FILE php -S 127.0.0.1:PORT server.php
 *
 * The file is made by: SABRE_DATABASE=FILE php server.php
 */

error_reporting(E_ALL & ~E_DEPRECATED);
date_default_timezone_set('UTC');
require_once 'Sabre/autoload.php';

$pdo = new \PDO('sqlite:' . getenv('SABRE_DATABASE'));
$pdo->setAttribute(\PDO::ATTR_ERRMODE, \PDO::ERRMODE_EXCEPTION);
$pdo->setAttribute(\PDO::ATTR_TIMEOUT, 30);

/** The tables that the library's PDO backends ask for. */
const TABLES = [
    'principals' => 'uri text unique, email text, displayname text, vcardurl text',
    'groupmembers' => 'principal_id integer, member_id integer, unique (principal_id, member_id)',
    'calendars' => 'principaluri text, displayname text, uri text, ctag integer, description text, calendarorder integer,'
        . ' calendarcolor text, timezone text, components text, transparent bool',
    'calendarobjects' => 'calendardata blob, uri text, calendarid integer, lastmodified integer, etag text, size integer,'
        . ' componenttype text, firstoccurence integer, lastoccurence integer',
    'addressbooks' => 'principaluri text, displayname text, uri text, description text, ctag integer',
    'cards' => 'addressbookid integer, carddata blob, uri text, lastmodified integer',
];
const PEOPLE = ['alice', 'bob', 'carol'];

function prepare(\PDO $pdo): void
{
    foreach (TABLES as $name => $columns) {
        $pdo->exec("create table $name (id integer primary key asc, $columns)");
    }
    $pdo->exec('create unique index object_names on calendarobjects (calendarid, uri)');
    $pdo->exec('create unique index card_names on cards (addressbookid, uri)');
    $insert = $pdo->prepare('insert into principals (uri, email, displayname) values (?, ?, ?)');
    foreach (PEOPLE as $name) {
        $insert->execute(["principals/$name", "$name@example.org", ucfirst($name)]);
        foreach (['read', 'write'] as $right) {
            $insert->execute(["principals/$name/calendar-proxy-$right", null, null]);
        }
    }
}

final class Passwords extends \Sabre\DAV\Auth\Backend\AbstractBasic
{
    protected function validateUserPass($username, $password)
    {
        return in_array($username, PEOPLE, true) && $password === 'secret';
    }
}

if (PHP_SAPI === 'cli') {
    prepare($pdo);
    exit;
}

$principals = new \Sabre\DAVACL\PrincipalBackend\PDO($pdo);
$server = new \Sabre\DAV\Server([
    new \Sabre\CalDAV\Principal\Collection($principals),
    new \Sabre\CalDAV\CalendarRootNode($principals, new \Sabre\CalDAV\Backend\PDO($pdo)),
    new \Sabre\CardDAV\AddressBookRoot($principals, new \Sabre\CardDAV\Backend\PDO($pdo)),
]);
$server->setBaseUri('/');
$server->addPlugin(new \Sabre\DAV\Auth\Plugin(new Passwords(), 'sabre'));
$server->addPlugin(new \Sabre\CalDAV\Plugin());
$server->addPlugin(new \Sabre\CardDAV\Plugin());
$server->addPlugin(new \Sabre\DAVACL\Plugin());
$server->exec();
