-- Rooms, equipment and team calendars. Instants are unix milliseconds.

CREATE TABLE resources (
    id BLOB PRIMARY KEY,
    domain BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    icon TEXT NOT NULL,
    room INTEGER NOT NULL,
    creator BLOB,
    -- JSON array of user ids.
    administrators TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX resources_by_domain ON resources (domain, id);

CREATE TABLE team_calendars (
    id BLOB PRIMARY KEY,
    domain BLOB NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    -- An address of its own, beside the one that its id makes.
    email TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX team_calendars_by_domain ON team_calendars (domain, id);
