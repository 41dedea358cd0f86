-- What was deleted and is kept for a while.
CREATE TABLE trash (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    home BLOB NOT NULL,
    -- Id that the collection had.
    collection BLOB NOT NULL,
    -- 1 for objects that went with their collection.
    part INTEGER NOT NULL,
    -- Unix milliseconds.
    until INTEGER NOT NULL,
    -- JSON of store::Trashed.
    entry TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX trash_by_home ON trash (home, part, id);
CREATE INDEX trash_by_collection ON trash (collection, part, id);
CREATE INDEX trash_by_end ON trash (until);

-- Octets of the objects in the collection.
ALTER TABLE sync_states ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;
UPDATE sync_states SET octets =
    (SELECT coalesce(sum(size), 0) FROM objects WHERE objects.collection = sync_states.collection);

-- When the name went, in unix seconds.
ALTER TABLE tombstones ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
UPDATE tombstones SET gone = CAST(strftime('%s', 'now') AS INTEGER);
