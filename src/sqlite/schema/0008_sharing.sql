-- What everybody of the domain may do with a collection: a privilege in Clark notation, NULL for none.
ALTER TABLE collections ADD COLUMN public_right TEXT;

-- Collections in the homes of people who do not own them.
CREATE TABLE instances (
    -- Counts up, so it is the order of creation too.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    oid BLOB NOT NULL UNIQUE,
    collection INTEGER NOT NULL,
    home BLOB NOT NULL,
    -- As in collections; both share one name space of paths.
    space INTEGER NOT NULL,
    uri TEXT NOT NULL,
    -- JSON of store::CollectionProps.
    props TEXT NOT NULL,
    -- Number of store::Access where its owner gave it, NULL where its holder subscribed to it.
    access INTEGER,
    -- Number of store::InviteStatus.
    status INTEGER NOT NULL,
    -- The address it was given to, and the name the owner wrote.
    href TEXT NOT NULL,
    name TEXT,
    -- 1 where its holder has put it away.
    hidden INTEGER NOT NULL,
    -- 1 where a subscription may write.
    writes INTEGER NOT NULL,
    UNIQUE (home, space, uri)
) STRICT;
CREATE INDEX instances_by_collection ON instances (collection, home);
