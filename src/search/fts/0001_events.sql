-- The search index of events. It can be rebuilt from the calendars at any time.

CREATE TABLE calendars (
    id INTEGER PRIMARY KEY,
    home BLOB NOT NULL,
    calendar TEXT NOT NULL,
    UNIQUE (home, calendar)
) STRICT;

-- The state of each calendar object; one that was deleted is remembered for a while, so that late messages are known.
CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    calendar INTEGER NOT NULL,
    uid TEXT NOT NULL,
    version INTEGER NOT NULL,
    -- When it was deleted, unix milliseconds.
    deleted INTEGER,
    UNIQUE (calendar, uid)
) STRICT;
CREATE INDEX objects_deleted ON objects (deleted) WHERE deleted IS NOT NULL;

-- One row for each VEVENT: what hits are filtered and sorted by.
CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    object INTEGER NOT NULL,
    calendar INTEGER NOT NULL,
    uid TEXT NOT NULL,
    -- 1 for an overridden occurrence.
    rank INTEGER NOT NULL,
    -- Unix seconds; the smallest number where there is none, so that it sorts last.
    start INTEGER NOT NULL,
    booking TEXT
) STRICT;
CREATE INDEX documents_by_object ON documents (object);
CREATE INDEX documents_by_calendar ON documents (calendar);

-- JSON of search::EventDocument.
CREATE TABLE bodies (
    document INTEGER PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE people (
    document INTEGER NOT NULL,
    -- 0 organizes, 1 attends.
    role INTEGER NOT NULL,
    email TEXT NOT NULL,
    PRIMARY KEY (document, role, email)
) STRICT, WITHOUT ROWID;

-- Words by document. `scope` names the calendar, so that a common word of other people costs nothing.
CREATE VIRTUAL TABLE words USING fts5 (
    scope, summary, description, location, people,
    content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2", prefix = '3'
);
