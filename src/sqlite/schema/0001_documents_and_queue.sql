-- Calendars, address books and their objects.

CREATE TABLE collections (
    -- Short name in the tables below; counts up, so it is the order of creation too.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    oid BLOB NOT NULL UNIQUE,
    home BLOB NOT NULL,
    -- Name space of the URI: 0 for /calendars, 1 for /addressbooks.
    space INTEGER NOT NULL,
    -- 0 calendar, 1 inbox, 2 outbox, 3 address book.
    kind INTEGER NOT NULL,
    uri TEXT NOT NULL,
    -- JSON of store::CollectionProps.
    props TEXT NOT NULL,
    UNIQUE (home, space, uri)
) STRICT;

-- What every write of an object changes, apart from the properties, which may be long.
CREATE TABLE sync_states (
    collection INTEGER PRIMARY KEY,
    -- Number of the last change.
    token INTEGER NOT NULL,
    -- Oldest number from which the changes are complete.
    oldest INTEGER NOT NULL,
    -- Objects in the collection.
    objects INTEGER NOT NULL
) STRICT;

-- Last tokens of deleted collections: one that is made anew under the same URI counts on from there.
CREATE TABLE retired_tokens (
    home BLOB NOT NULL,
    space INTEGER NOT NULL,
    uri TEXT NOT NULL,
    token INTEGER NOT NULL,
    PRIMARY KEY (home, space, uri)
) STRICT, WITHOUT ROWID;

-- What is known of each object, in the order of names; the text is elsewhere, so that listing stays cheap.
CREATE TABLE objects (
    collection INTEGER NOT NULL,
    name TEXT NOT NULL,
    body INTEGER NOT NULL,
    etag TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    component TEXT NOT NULL,
    uid TEXT NOT NULL,
    first INTEGER,
    last INTEGER,
    -- Class of length between first and last, see store/sqlite/span.rs.
    span INTEGER NOT NULL,
    -- Token of the last change of this object.
    changed INTEGER NOT NULL,
    PRIMARY KEY (collection, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_by_change ON objects (collection, changed);
CREATE INDEX objects_by_uid ON objects (collection, uid);
CREATE INDEX objects_by_time ON objects (collection, component, span, first, last);

CREATE TABLE bodies (
    id INTEGER PRIMARY KEY,
    data TEXT NOT NULL
) STRICT;

-- Names that are gone, for clients that still know them.
CREATE TABLE tombstones (
    collection INTEGER NOT NULL,
    name TEXT NOT NULL,
    changed INTEGER NOT NULL,
    PRIMARY KEY (collection, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_by_change ON tombstones (collection, changed);

-- People and domains.

CREATE TABLE domains (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    domain BLOB NOT NULL,
    firstname TEXT NOT NULL,
    lastname TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_by_domain ON users (domain, id);

CREATE TABLE user_emails (
    email TEXT PRIMARY KEY,
    user BLOB NOT NULL,
    -- 0 for the user name, then the aliases in order.
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX user_emails_by_user ON user_emails (user, position);

CREATE TABLE settings (
    user BLOB PRIMARY KEY,
    -- JSON of store::Settings.
    modules TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE passwords (
    user BLOB PRIMARY KEY,
    phc TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The queue. Instants are unix milliseconds.

CREATE TABLE consumers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE bindings (
    topic TEXT NOT NULL,
    consumer INTEGER NOT NULL,
    PRIMARY KEY (topic, consumer)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    -- Never given twice: late settlements must not hit another message.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    once TEXT,
    payload TEXT NOT NULL,
    published INTEGER NOT NULL
) STRICT;

-- One row for each consumer that still has to handle a message.
CREATE TABLE deliveries (
    consumer INTEGER NOT NULL,
    message INTEGER NOT NULL,
    key TEXT NOT NULL,
    -- When it may be handed out: 0 at once; NULL while an older message of the key is in front of it. A delivery that is
    -- under way comes back then.
    ready INTEGER,
    attempts INTEGER NOT NULL,
    -- 1 while it is under way.
    claimed INTEGER NOT NULL,
    -- What went wrong at last.
    error TEXT,
    PRIMARY KEY (consumer, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_ready ON deliveries (consumer, ready, message) WHERE ready IS NOT NULL;
CREATE INDEX deliveries_by_key ON deliveries (consumer, key, message);

CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer INTEGER NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    once TEXT,
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    published INTEGER NOT NULL,
    died INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_consumer ON dead_letters (consumer, id);

-- The `once` of messages that were published, for a while.
CREATE TABLE published_once (
    once TEXT PRIMARY KEY,
    published INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX published_once_by_age ON published_once (published);
